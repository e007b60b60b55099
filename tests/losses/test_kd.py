import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.losses.contract import Contract, IgnoresPixels, WeighsPixels
from tests.reference.kd import kd_by_loops

from segdistill.losses.kd import KDLoss, kd
from segdistill.types import IGNORE_INDEX

torch.set_num_threads(1)

GOLDEN = Path(__file__).parents[1] / "golden" / "kd.npz"


class TestKD(Contract, WeighsPixels):
    channels = 3, 3
    scale = 50.0

    def make(self):
        return KDLoss(temperature=2.0)

    def slow(self, loss, student, teacher, labels):
        return kd_by_loops(student, teacher, 2.0)


class TestLabelledOnly(Contract, IgnoresPixels, WeighsPixels):
    channels = 3, 3
    scale = 50.0

    def make(self):
        return KDLoss(temperature=2.0, labelled_only=True)

    def slow(self, loss, student, teacher, labels):
        return kd_by_loops(student, teacher, 2.0, labels != IGNORE_INDEX)


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


def test_is_zero_at_equality_blind_to_shifts_and_positive_elsewhere():
    student, teacher = torch.randn(2, 2, 5, 4, 4)
    assert kd(teacher, teacher + 3).item() == pytest.approx(0, abs=1e-6)
    assert kd(student, teacher) > 0.01
    torch.testing.assert_close(kd(student + 3, teacher), kd(student, teacher))


def test_ignored_pixels_are_as_if_they_were_cut_off():
    student, teacher = torch.randn(2, 1, 5, 4, 4)
    labels = torch.zeros(1, 4, 4, dtype=torch.int64)
    labels[0, :2] = IGNORE_INDEX
    torch.testing.assert_close(kd(student, teacher, labels), kd(student[:, :, 2:], teacher[:, :, 2:]))
    torch.testing.assert_close(kd(student.mT, teacher.mT), kd(student, teacher))


def test_labels_are_resized_by_nearest_neighbour():
    student, teacher = torch.randn(2, 1, 5, 4, 6)
    labels = torch.randint(0, 2, (1, 4, 6)) * IGNORE_INDEX
    labels[0, 0, 0] = 1
    large = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    assert kd(student, teacher, large) == kd(student, teacher, labels)


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
        (lambda x: KDLoss(labelled_only=True)(x, x), "`labels` must be given where `labelled_only` is set"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call(torch.randn(2, 5, 3, 4))
