import re

import pytest
import torch
from tests.losses.contract import Contract, SeveralMaps
from tests.reference.dsd import dsd_by_loops

from segdistill.losses.dsd import DSDLoss, DSDTerms

torch.set_num_threads(1)


class TestDSD(Contract, SeveralMaps):
    channels = 3, 3
    sizes = (2, 3), (3, 4)  # attention of a single position has no direction
    scale = 1000.0

    def make(self):
        return DSDLoss()

    def slow(self, loss, student, teacher, labels):
        return dsd_by_loops([student], [teacher], 4.0)


@pytest.mark.parametrize("widths", [(), (2,), (4, 2)])
@pytest.mark.parametrize("paper", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_equals_the_loops_for_one_map_and_for_several(widths, paper, temperature):
    torch.manual_seed(0)
    student = [torch.randn(2, width, 3, 4, dtype=torch.float64) for width in (*widths, 3)]
    teacher = [torch.randn(2, 2 * width, 3, 4, dtype=torch.float64) for width in widths]
    teacher.append(torch.randn(2, 3, 3, 4, dtype=torch.float64))
    terms = DSDLoss(temperature, paper=paper)(student, teacher)
    assert isinstance(terms, DSDTerms)
    expected = dsd_by_loops(student, teacher, temperature, paper)
    assert [term.item() for term in terms] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("several", [False, True])
def test_gradcheck(several):
    student = [torch.randn(1, 3, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(1 + several)]
    teacher = [torch.randn(1, 3, 2, 3, dtype=torch.float64) for _ in student]
    assert torch.autograd.gradcheck(lambda *maps: tuple(DSDLoss()(maps, teacher)), student)


def test_both_parts_are_zero_at_equality_and_positive_elsewhere():
    student, teacher = torch.randn(2, 2, 5, 4, 4)
    assert DSDLoss()(teacher, teacher) == (0, 0)
    assert all(term > 1e-3 for term in DSDLoss()(20 * student, 20 * teacher))


def test_attention_is_blind_to_scale_and_category_to_a_shift_of_a_channel():
    student, teacher = torch.randn(2, 2, 5, 4, 4)
    shift = torch.randn(2, 5, 1, 1)
    terms = DSDLoss()(student, teacher)
    torch.testing.assert_close(DSDLoss()(-3 * student, teacher).attention, terms.attention)
    torch.testing.assert_close(DSDLoss()(student + shift, teacher).category, terms.category)


def test_attention_of_one_map_is_a_distance_of_correlated_attention():
    """Two centred unit vectors with correlation rho are 2 (1 - rho) apart, squared."""
    student, teacher = torch.randn(2, 1, 5, 6, 7)
    rho = torch.corrcoef(torch.stack([x.square().mean(1).flatten() for x in (student, teacher)]))[0, 1]
    torch.testing.assert_close(DSDLoss()(student, teacher).attention, 2 * (1 - rho) / 42)


def test_paper_makes_category_vanish_with_the_size_of_the_map():
    torch.manual_seed(0)
    small, large = (torch.randn(2, 1, 5, side, side) for side in (16, 64))
    ours, theirs = ([DSDLoss(paper=paper)(*maps).category for maps in (small, large)] for paper in (False, True))
    assert theirs[1] < 1e-2 * theirs[0]
    assert theirs[0] < 1e-3 * ours[0]


@pytest.mark.parametrize("several", [False, True])
def test_flat_and_zero_maps_give_finite_gradients(several):
    for value in (0.0, 0.3):
        student = torch.full((1, 5, 4, 4), value, requires_grad=True)
        teacher = torch.rand(1, 5, 4, 4)
        terms = DSDLoss()([student] * (1 + several), [teacher] * (1 + several))
        sum(terms).backward()
        assert all(term.isfinite() for term in terms)
        assert student.grad.isfinite().all()


def test_maps_of_other_sizes_are_resized_bilinearly():
    def resize(x, size):
        return torch.nn.functional.interpolate(x, size=size, mode="bilinear", align_corners=False)

    student = [torch.rand(1, 4, 6, 8), torch.rand(1, 5, 3, 4)]
    teacher = [torch.rand(1, 8, 12, 10), torch.rand(1, 5, 6, 5)]
    resized = [resize(resize(student[0], (12, 10)), (6, 5)), resize(student[1], (6, 5))]
    expected = DSDLoss()(resized, [resize(teacher[0], (6, 5)), teacher[1]])
    torch.testing.assert_close(DSDLoss()(student, teacher), expected)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x: DSDLoss(temperature=0), "`temperature` must be a finite number above 0; got 0."),
        (lambda x: DSDLoss()(x, x[:, :4]), "`teacher` must have the channels of `student`; got 4 and 5."),
        (lambda x: DSDLoss()(x[None], x), "`student` must be a floating-point map (B, C, H, W)"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call(torch.randn(2, 5, 3, 4))
