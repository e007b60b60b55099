import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.losses.contract import Contract, IgnoresPixels
from tests.reference.ifvd import ifvd_by_loops

from segdistill.losses.ifvd import IFVDLoss, ifvd
from segdistill.types import IGNORE_INDEX

torch.set_num_threads(1)

GOLDEN = Path(__file__).parents[1] / "golden" / "ifvd.npz"


class TestIFVD(Contract, IgnoresPixels):
    def make(self):
        return IFVDLoss(num_classes=3)

    def slow(self, loss, student, teacher, labels):
        return ifvd_by_loops(student, teacher, labels, IGNORE_INDEX)


def draw(*, size=(4, 5), batch=2, dtype=torch.float64):
    """Student and teacher of different widths, and labels of three classes and ignored pixels."""
    torch.manual_seed(0)
    labels = torch.tensor([0, 1, 3, IGNORE_INDEX])[torch.randint(0, 4, (batch, *size))]
    return torch.randn(batch, 3, *size, dtype=dtype), torch.randn(batch, 6, *size, dtype=dtype), labels


@pytest.mark.parametrize("num_classes", [None, 19])
def test_equals_the_authors_code_in_value_and_gradient(num_classes):
    with np.load(GOLDEN) as stored:
        golden = {key: torch.from_numpy(stored[key]) for key in stored.files}
    student = golden["student_features"].requires_grad_()
    value = IFVDLoss(num_classes)(student, golden["teacher_features"], golden["labels"])
    torch.testing.assert_close(value, golden["ifvd"], rtol=1e-10, atol=0)
    (gradient,) = torch.autograd.grad(value, student)
    expected = golden["grad.ifvd"]
    assert (gradient - expected).abs().max() < 1e-10 * expected.abs().max()


@pytest.mark.parametrize(("size", "batch"), [((4, 5), 2), ((1, 3), 1), ((3, 3), 1)])
def test_equals_the_loops(size, batch):
    student, teacher, labels = draw(size=size, batch=batch)
    expected = ifvd_by_loops(student, teacher, labels, IGNORE_INDEX)
    for num_classes in (None, 4, 150):
        assert ifvd(student, teacher, labels, num_classes=num_classes).item() == pytest.approx(expected, rel=1e-10)


def test_is_zero_at_equality_and_blind_to_the_length_of_features():
    student, teacher, labels = draw()
    assert ifvd(teacher, teacher, labels).item() == 0
    assert ifvd(7 * teacher, teacher, labels).item() == pytest.approx(0, abs=1e-12)
    assert ifvd(student, teacher, labels) > 0.01


def test_prototypes_belong_to_one_image():
    student, teacher, labels = draw()
    alone = [ifvd(student[i : i + 1], teacher[i : i + 1], labels[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(ifvd(student, teacher, labels), sum(alone) / 2)


def test_ignored_pixels_add_nothing_but_count_in_the_mean():
    student, teacher, labels = draw(batch=1)
    student.requires_grad_()
    value = ifvd(student, teacher, labels)
    ignored = (labels == IGNORE_INDEX)[:, None]
    changed = torch.where(ignored, torch.randn_like(teacher), teacher)
    assert ifvd(student, changed, labels) == value
    (gradient,) = torch.autograd.grad(value, student)
    assert gradient[ignored.expand_as(gradient)].abs().max() == 0
    wider = torch.nn.functional.pad(labels, (0, 5), value=IGNORE_INDEX)
    padded = ifvd(torch.cat([student, student], 3), torch.cat([teacher, teacher], 3), wider)
    torch.testing.assert_close(padded, value / 2)


def test_dead_features_have_bounded_gradients():
    student, teacher, labels = draw(dtype=torch.float32)
    student = student.relu()
    student[0, :, :2] = 0
    student.requires_grad_()
    ifvd(student, teacher, labels).backward()
    assert student.grad.abs().max() < 10


def test_sizes_are_matched_to_the_teacher():
    student, teacher, labels = draw(size=(6, 8))
    large = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    assert ifvd(student, teacher, large) == ifvd(student, teacher, labels)
    small = student[:, :, :3, :5]
    resized = torch.nn.functional.interpolate(small, size=(6, 8), mode="bilinear", align_corners=False)
    assert ifvd(small, teacher, labels) == ifvd(resized, teacher, labels)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x, y: IFVDLoss(0), "`num_classes` must be an integer of at least 1; got 0."),
        (lambda x, y: ifvd(x, x, y, num_classes=2.5), "`num_classes` must be an integer of at least 1; got 2.5."),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call(torch.randn(2, 5, 3, 4), torch.zeros(2, 3, 4).long())
