import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.losses.contract import Contract, WeighsPixels
from tests.reference.cwd import cwd_by_loops

from segdistill.losses.cwd import CWDLoss, cwd

torch.set_num_threads(1)

GOLDEN = Path(__file__).parents[1] / "golden" / "cwd.npz"


class TestLogits(WeighsPixels, Contract):
    channels = 3, 3
    scale = 50.0

    def make(self):
        return CWDLoss()

    def slow(self, loss, student, teacher, labels):
        return cwd_by_loops(student, teacher, 4.0)


class TestAligned(Contract):
    fixed = True
    scale = 50.0
    parameter_types = torch.float32, torch.bfloat16

    def make(self):
        return CWDLoss(3, 4, temperature=2.0)

    def slow(self, loss, student, teacher, labels):
        return cwd_by_loops(loss.align(student), teacher, 2.0)


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
        (lambda x: cwd(x, x[:, :4]), "`teacher` must have the channels of `student`; got 4 and 5."),
        (lambda x: cwd(x, x, temperature=-1), "`temperature` must be a finite number above 0; got -1."),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call(torch.randn(2, 5, 3, 4))


def test_images_where_no_position_counts_are_left_out():
    torch.manual_seed(0)
    student, teacher = torch.randn(3, 2, 4, 5, dtype=torch.float64), torch.randn(3, 2, 4, 5, dtype=torch.float64)
    weight = torch.ones(3, 4, 5, dtype=torch.float64)
    weight[1] = 0
    value = cwd(student, teacher, weight=weight)
    torch.testing.assert_close(value, cwd(student[::2], teacher[::2]))
