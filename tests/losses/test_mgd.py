import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.reference.mgd import mgd_by_loops

from segdistill.losses.af_dcd import AfDCDLoss
from segdistill.losses.mgd import MGDLoss

torch.set_num_threads(1)

GOLDEN = Path(__file__).parents[1] / "golden" / "af_dcd"


@pytest.mark.parametrize(("name", "generator"), [("plain", "plain"), ("enhanced_centre", "enhanced")])
def test_equals_the_authors_code_in_value_and_every_gradient(name, generator):
    with np.load(GOLDEN / f"{name}.npz") as stored:
        golden = {key: torch.from_numpy(stored[key]) for key in stored.files if key != "meta"}
    student, teacher = golden["student"].requires_grad_(), golden["teacher"]
    loss = MGDLoss(student.shape[1], teacher.shape[1], generator=generator).double()
    loss.load_state_dict({key: golden[key] for key in loss.state_dict()})
    value = loss(student, teacher, keep=golden["keep"])
    torch.testing.assert_close(value, golden["mimic"], rtol=1e-10, atol=0)
    inputs = {"student": student, **dict(loss.named_parameters())}
    for key, gradient in zip(inputs, torch.autograd.grad(value, list(inputs.values())), strict=True):
        expected = golden[f"grad_mimic.{key}"]
        assert (gradient - expected).abs().max() < 1e-10 * expected.abs().max(), key


@pytest.mark.parametrize("size", [(1, 1), (3, 4)])
def test_equals_the_loops(size):
    torch.manual_seed(0)
    loss = MGDLoss(2, 3).double()
    student = torch.randn(2, 2, *size, dtype=torch.float64)
    teacher = torch.randn(2, 3, *size, dtype=torch.float64)
    keep = torch.rand(2, 1, *size, dtype=torch.float64) < 0.5
    expected = mgd_by_loops(student, teacher, keep, loss.state_dict())
    assert loss(student, teacher, keep=keep).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("reduction", ["paper", "mean"])
@pytest.mark.parametrize("options", [{}, {"mask": "centre", "generator": "enhanced"}, {"mask_ratio": 0.4}])
def test_is_the_mimic_of_af_dcd(reduction, options):
    af_dcd = AfDCDLoss(3, 16, reduction=reduction, **options)
    loss = MGDLoss(3, 16, reduction=reduction, **options)
    loss.load_state_dict(af_dcd.state_dict())
    student, teacher = torch.rand(2, 3, 5, 7), torch.rand(2, 16, 8, 9)
    torch.manual_seed(1)
    expected = af_dcd(student, teacher).mimic
    torch.manual_seed(1)
    assert loss(student, teacher) == expected


def test_gradcheck_through_every_parameter():
    torch.manual_seed(0)
    loss = MGDLoss(2, 3).double()
    names = list(dict(loss.named_parameters()))
    student = torch.randn(1, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(1, 3, 3, 2, dtype=torch.float64)
    keep = torch.tensor([[[[1, 0], [1, 1], [0, 1]]]])

    def run(x, *parameters):
        named = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(loss, named, (x, teacher), {"keep": keep})

    assert torch.autograd.gradcheck(run, (student, *loss.parameters()))


def test_mean_reduction_and_its_weight_carry_over():
    paper, mean = MGDLoss(3, 16, mask="none"), MGDLoss(3, 16, mask="none", reduction="mean")
    mean.load_state_dict(paper.state_dict())
    student, teacher = torch.rand(2, 3, 6, 8), torch.rand(2, 16, 6, 8)
    torch.testing.assert_close(mean(student, teacher) * 16 * 6 * 8, paper(student, teacher))
    assert paper.published == 2e-5
    assert mean.published == pytest.approx(2e-5 * 2048 * 64 * 64, rel=1e-3)


def test_hidden_positions_of_the_student_do_not_count():
    loss = MGDLoss(3, 16)
    student = torch.rand(1, 3, 6, 8, requires_grad=True)
    keep = torch.ones(1, 1, 6, 8)
    keep[..., :4] = 0
    loss(student, torch.rand(1, 16, 6, 8), keep=keep).backward()
    assert student.grad[..., :4].abs().max() == 0
    assert student.grad[..., 4:].abs().min() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_reference_computes_low_precision_in_float32_also_under_autocast(dtype):
    loss = MGDLoss(3, 16, mask="none", impl="reference")
    student = (300 * torch.rand(1, 3, 8, 8)).to(dtype).requires_grad_()
    teacher = (300 * torch.rand(1, 16, 8, 8)).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(student, teacher)
    assert value.dtype == torch.float32
    assert value == loss(student.float(), teacher.float())
    assert value > 65504  # float16 could not hold it
    (1e-6 * value).backward()
    assert student.grad.isfinite().all()


def test_training_brings_it_down():
    torch.manual_seed(0)
    loss = MGDLoss(8, 16, mask_ratio=0.25, reduction="mean")
    student, teacher = torch.rand(2, 8, 8, 8), torch.rand(2, 16, 8, 8)
    optimizer = torch.optim.Adam(loss.parameters(), 3e-3)
    history = []
    for _ in range(40):
        value = loss(student, teacher)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        history.append(value.item())
    assert history[-1] < 0.5 * history[0]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: MGDLoss(0, 16), "`student_channels` must be an integer of at least 1; got 0."),
        (lambda: MGDLoss(3, 16, mask_ratio=1), "`mask_ratio` must be a share in [0, 1); got 1."),
        (lambda: MGDLoss(3, 16, mask="center"), "got 'center'."),
        (lambda: MGDLoss(3, 16, generator="big"), "got 'big'."),
        (lambda: MGDLoss(3, 16, reduction="sum"), "`reduction` must be one of 'paper', 'mean'; got 'sum'."),
        (lambda: MGDLoss(3, 16)(torch.rand(1, 3, 4, 4), torch.rand(1, 8, 4, 4)), "must have 16 channels; got 8"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call()
