import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.reference.cwd import cwd_by_loops

from segdistill.losses.cwd import CWDLoss, cwd

torch.set_num_threads(1)

GOLDEN = Path(__file__).parents[1] / "golden" / "cwd.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as stored:
        return {key: torch.from_numpy(stored[key]) for key in stored.files}


def check(value, student, golden, name):
    torch.testing.assert_close(value, golden[name], rtol=1e-10, atol=0)
    (gradient,) = torch.autograd.grad(value, student)
    expected = golden[f"grad.{name}"]
    assert (gradient - expected).abs().max() < 1e-10 * expected.abs().max()


@pytest.mark.parametrize("loss", [CWDLoss(), CWDLoss(5, 5), CWDLoss(5, 5, paper=True)])
def test_equals_the_authors_code_on_logits(golden, loss):
    student = golden["student_logits"].clone().requires_grad_()
    check(loss(student, golden["teacher_logits"]), student, golden, "cwd_logits.T4")
    assert not list(loss.parameters())


def test_equals_the_authors_code_on_features_where_its_divisor_is_asked_for(golden):
    loss = CWDLoss(6, 12, paper=True).double()
    loss.load_state_dict({"align.weight": golden["align_weight"]})
    student = golden["student_features"].clone().requires_grad_()
    check(loss(student, golden["teacher_features"]), student, golden, "cwd_features.T4")


def test_divides_by_the_channels_summed_over_by_default(golden):
    loss = CWDLoss(6, 12).double()
    loss.load_state_dict({"align.weight": golden["align_weight"]})
    value = loss(golden["student_features"], golden["teacher_features"])
    torch.testing.assert_close(value, golden["cwd_features.T4"] * 6 / 12, rtol=1e-10, atol=0)
    aligned = torch.einsum("bchw,dc->bdhw", golden["student_features"], golden["align_weight"][..., 0, 0])
    torch.testing.assert_close(value, cwd(aligned, golden["teacher_features"]))


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 2, 1, 2), (2, 3, 3, 5)])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_equals_the_loops(shape, temperature):
    torch.manual_seed(0)
    student, teacher = torch.randn(2, *shape, dtype=torch.float64)
    value = cwd(student, teacher, temperature=temperature).item()
    assert value == pytest.approx(cwd_by_loops(student, teacher, temperature), rel=1e-10, abs=1e-15)


def test_gradcheck_through_the_alignment():
    loss = CWDLoss(2, 3, temperature=2.0).double()
    student = torch.randn(1, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(1, 3, 2, 3, dtype=torch.float64)

    def run(x, weight):
        return torch.func.functional_call(loss, {"align.weight": weight}, (x, teacher))

    assert torch.autograd.gradcheck(run, (student, loss.align.weight))


def test_is_zero_at_equality_blind_to_a_shift_of_a_channel_and_positive_elsewhere():
    student, teacher = torch.randn(2, 2, 5, 4, 4)
    shift = torch.randn(2, 5, 1, 1)
    assert cwd(teacher, teacher).item() == 0
    assert cwd(teacher + shift, teacher).item() == pytest.approx(0, abs=1e-6)
    assert cwd(student, teacher) > 0.01
    torch.testing.assert_close(cwd(student + shift, teacher), cwd(student, teacher))


def test_a_flat_student_costs_what_the_teacher_knows():
    """A channel that lies in one of n places is log(n) from one that lies everywhere."""
    teacher = torch.zeros(1, 3, 4, 8)
    teacher[:, :, 1, 2] = 1e4
    assert cwd(torch.zeros(1, 3, 4, 8), teacher, temperature=2.0).item() == pytest.approx(4 * math.log(32), rel=1e-6)


def test_order_and_number_of_images_and_channels_do_not_matter():
    student, teacher = torch.randn(2, 3, 4, 5, 6)
    value = cwd(student, teacher)
    torch.testing.assert_close(cwd(student[[2, 0, 1]], teacher[[2, 0, 1]]), value)
    torch.testing.assert_close(cwd(student[:, [3, 1, 0, 2]], teacher[:, [3, 1, 0, 2]]), value)
    torch.testing.assert_close(cwd(student.tile(2, 3, 1, 1), teacher.tile(2, 3, 1, 1)), value)
    torch.testing.assert_close(cwd(student.mT, teacher.mT), value)


def test_a_student_map_of_another_size_is_resized_bilinearly():
    student, teacher = torch.randn(1, 4, 3, 5), torch.randn(1, 6, 7, 8)
    resized = torch.nn.functional.interpolate(student, size=(7, 8), mode="bilinear", align_corners=False)
    loss = CWDLoss(4, 6)
    torch.testing.assert_close(loss(student, teacher), loss(resized, teacher))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("parameters", [torch.float32, torch.bfloat16])
def test_low_precision_is_computed_in_float32_also_under_autocast(dtype, parameters):
    loss = CWDLoss(4, 6).to(parameters)
    student = (50 * torch.randn(1, 4, 3, 5)).to(dtype).requires_grad_()
    teacher = (50 * torch.randn(1, 6, 3, 5)).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(student, teacher)
    assert value.dtype == torch.float32
    assert value == loss(student.float(), teacher.float())
    value.backward()
    assert student.grad.isfinite().all()
    assert loss.align.weight.grad.isfinite().all()


def test_the_teacher_gets_no_gradient():
    student, teacher = torch.randn(1, 5, 3, 4, requires_grad=True), torch.randn(1, 5, 3, 4, requires_grad=True)
    cwd(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad.abs().max() > 0


def test_a_convolution_only_where_needed_or_asked_for():
    shapes = [
        [tuple(p.shape) for p in loss.parameters()]
        for loss in (CWDLoss(), CWDLoss(4, 4), CWDLoss(4, 6), CWDLoss(4, 4, align=True), CWDLoss(4, 4, align=False))
    ]
    assert shapes == [[], [], [(6, 4, 1, 1)], [(4, 4, 1, 1)], []]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x: CWDLoss(temperature=0), "`temperature` must be a finite number above 0; got 0."),
        (lambda x: CWDLoss(4), "must both be given to align widths, or neither; got 4, None and align=None."),
        (lambda x: CWDLoss(align=True), "must both be given to align widths, or neither; got None, None and"),
        (lambda x: CWDLoss(4, 6, align=False), "`align` must not be False where widths differ; got 4 and 6."),
        (lambda x: CWDLoss(4, 0), "`teacher_channels` must be an integer of at least 1; got 0."),
        (lambda x: CWDLoss(4, 6)(x, x), "`student` must have 4 channels; got 5"),
        (lambda x: cwd(x, x[:, :4]), "`teacher` must have the channels of `student`; got 4 and 5."),
        (lambda x: cwd(x, x, temperature=-1), "`temperature` must be a finite number above 0; got -1."),
        (lambda x: cwd(x, x[:1]), "got batches of 2 and 1"),
        (lambda x: cwd(x[0], x), "`student` must be a floating-point map (B, C, H, W)"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call(torch.randn(2, 5, 3, 4))
