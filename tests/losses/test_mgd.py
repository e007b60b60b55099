import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.losses.contract import SEED, Contract
from tests.reference.mgd import mgd_by_loops

from segdistill.losses.af_dcd import AfDCDLoss
from segdistill.losses.common.generator import draw_keep
from segdistill.losses.mgd import MGDLoss

torch.set_num_threads(1)

GOLDEN = Path(__file__).parents[1] / "golden" / "af_dcd"


class TestMGD(Contract):
    fixed = True
    exact = {"impl": "reference"}  # noqa: RUF012
    overflows = True
    gradcheck_size = 3, 2

    def make(self, **options):
        return MGDLoss(3, 4, **options)

    def slow(self, loss, student, teacher, labels):
        torch.manual_seed(SEED)
        keep = draw_keep("random", 0.75, teacher)
        return mgd_by_loops(student, teacher, keep, loss.state_dict())


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
