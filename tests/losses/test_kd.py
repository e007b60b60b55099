import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.reference.kd import kd_by_loops

from segdistill.losses.kd import KDLoss, kd
from segdistill.types import IGNORE_INDEX

torch.set_num_threads(1)

GOLDEN = Path(__file__).parents[1] / "golden" / "kd.npz"


@pytest.mark.parametrize("temperature", [1, 4])
def test_equals_the_authors_code_in_value_and_gradient(temperature):
    with np.load(GOLDEN) as stored:
        golden = {key: torch.from_numpy(stored[key]) for key in stored.files}
    student = golden["student_logits"].requires_grad_()
    value = KDLoss(temperature=temperature)(student, golden["teacher_logits"])
    torch.testing.assert_close(value, golden[f"kd.T{temperature}"], rtol=1e-10, atol=0)
    (gradient,) = torch.autograd.grad(value, student)
    expected = golden[f"grad.kd.T{temperature}"]
    assert (gradient - expected).abs().max() < 1e-10 * expected.abs().max()


@pytest.mark.parametrize("shape", [(1, 2, 1, 1), (2, 3, 3, 5)])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_equals_the_loops_with_and_without_labels(shape, temperature):
    torch.manual_seed(0)
    student, teacher = torch.randn(2, *shape, dtype=torch.float64)
    labels = torch.randint(0, 2, (shape[0], *shape[2:])) * IGNORE_INDEX
    labels[0, 0, 0] = 0
    value = kd(student, teacher, temperature=temperature).item()
    assert value == pytest.approx(kd_by_loops(student, teacher, temperature), rel=1e-10)
    value = kd(student, teacher, labels, temperature=temperature).item()
    assert value == pytest.approx(kd_by_loops(student, teacher, temperature, labels != IGNORE_INDEX), rel=1e-10)


def test_gradcheck():
    student = torch.randn(1, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(1, 3, 2, 3, dtype=torch.float64)
    labels = torch.tensor([[[0, 1, IGNORE_INDEX], [2, 0, 1]]])
    assert torch.autograd.gradcheck(lambda x: kd(x, teacher, labels, temperature=2.0), student)


def test_is_zero_at_equality_blind_to_shifts_and_positive_elsewhere():
    student, teacher = torch.randn(2, 2, 5, 4, 4)
    assert kd(teacher, teacher + 3).item() == pytest.approx(0, abs=1e-6)
    assert kd(student, teacher) > 0.01
    torch.testing.assert_close(kd(student + 3, teacher), kd(student, teacher))


def test_ignored_pixels_change_neither_value_nor_gradient():
    student, teacher = torch.randn(1, 5, 4, 4, requires_grad=True), torch.randn(1, 5, 4, 4)
    labels = torch.zeros(1, 4, 4, dtype=torch.int64)
    labels[0, :2] = IGNORE_INDEX
    value = kd(student, teacher, labels)
    changed = teacher.clone()
    changed[:, :, :2] += torch.randn(1, 5, 2, 4)
    assert kd(student, changed, labels) == value
    torch.testing.assert_close(value, kd(student[:, :, 2:], teacher[:, :, 2:]))
    (gradient,) = torch.autograd.grad(value, student)
    assert gradient[:, :, :2].abs().max() == 0
    assert gradient[:, :, 2:].abs().max() > 0


def test_nothing_labelled_gives_a_zero_with_a_graph():
    student = torch.randn(1, 5, 4, 4, requires_grad=True)
    value = KDLoss(labelled_only=True)(student, torch.randn(1, 5, 4, 4), torch.full((1, 32, 32), IGNORE_INDEX))
    value.backward()
    assert value.item() == 0
    assert student.grad.abs().max() == 0


def test_labels_are_resized_by_nearest_neighbour():
    student, teacher = torch.randn(2, 1, 5, 4, 6)
    labels = torch.randint(0, 2, (1, 4, 6)) * IGNORE_INDEX
    labels[0, 0, 0] = 1
    large = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    assert kd(student, teacher, large) == kd(student, teacher, labels)


def test_student_logits_of_another_size_are_resized_bilinearly():
    student, teacher = torch.randn(1, 5, 3, 4), torch.randn(1, 5, 6, 9)
    resized = torch.nn.functional.interpolate(student, size=(6, 9), mode="bilinear", align_corners=False)
    torch.testing.assert_close(kd(student, teacher), kd(resized, teacher))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_is_computed_in_float32_also_under_autocast(dtype):
    student = (50 * torch.randn(1, 5, 3, 4)).to(dtype).requires_grad_()
    teacher = (50 * torch.randn(1, 5, 3, 4)).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = kd(student, teacher, temperature=2.0)
    assert value.dtype == torch.float32
    assert value == kd(student.float(), teacher.float(), temperature=2.0)
    value.backward()
    assert student.grad.isfinite().all()


def test_the_teacher_gets_no_gradient_and_layout_does_not_matter():
    student, teacher = torch.randn(2, 1, 5, 3, 4).unbind()
    teacher.requires_grad_()
    student = student.clone().requires_grad_()
    value = kd(student, teacher)
    value.backward()
    assert teacher.grad is None
    torch.testing.assert_close(kd(student.mT, teacher.mT), value)


def test_the_module_is_the_function_and_reads_labels_only_where_told():
    student, teacher = torch.randn(2, 1, 5, 3, 4)
    labels = torch.full((1, 3, 4), IGNORE_INDEX)
    labels[0, 0] = 0
    assert KDLoss(2.0)(student, teacher, labels) == kd(student, teacher, temperature=2.0)
    assert KDLoss(2.0, labelled_only=True)(student, teacher, labels) == kd(student, teacher, labels, temperature=2.0)
    assert KDLoss().uses_labels is False
    assert KDLoss(labelled_only=True).uses_labels is True


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x: KDLoss(temperature=0), "`temperature` must be a finite number above 0; got 0."),
        (lambda x: kd(x, x, temperature=-1), "`temperature` must be a finite number above 0; got -1."),
        (lambda x: kd(x, x[:, :4]), "`teacher` must have the classes of `student`; got 4 and 5."),
        (lambda x: kd(x, x[:1]), "got batches of 2 and 1"),
        (lambda x: kd(x[0], x), "`student` must be a floating-point map (B, C, H, W)"),
        (lambda x: kd(x, x, x[:, 0]), "`labels` must be integers (B, H, W) for 2 images; got torch.float32"),
        (lambda x: kd(x, x, x[:1, 0].long()), "`labels` must be integers (B, H, W) for 2 images"),
        (lambda x: KDLoss(labelled_only=True)(x, x), "`labels` must be given where `labelled_only` is set"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call(torch.randn(2, 5, 3, 4))
