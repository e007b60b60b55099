import re

import pytest
import torch
from tests.losses.contract import Contract, SeveralMaps, WeighsPixels
from tests.reference.dist import dist_by_loops

from segdistill.losses.dist import DISTLoss, dist, pearson

torch.set_num_threads(1)


class TestDIST(Contract, SeveralMaps, WeighsPixels):
    channels = 3, 3
    scale = 50.0

    def make(self):
        return DISTLoss(beta=0.7, gamma=1.3, temperature=2.0)

    def slow(self, loss, student, teacher, labels):
        return dist_by_loops(student, teacher, 0.7, 1.3, 2.0)


@pytest.mark.parametrize("shape", [(1, 2, 1, 2), (2, 3, 3, 5)])
@pytest.mark.parametrize(("beta", "gamma", "temperature"), [(1, 1, 1), (2, 0, 1), (0, 0.5, 4), (1, 2, 0.5)])
def test_equals_the_loops(shape, beta, gamma, temperature):
    torch.manual_seed(0)
    student, teacher = torch.randn(2, *shape, dtype=torch.float64)
    value = DISTLoss(beta, gamma, temperature)(student, teacher).item()
    assert value == pytest.approx(dist_by_loops(student, teacher, beta, gamma, temperature), rel=1e-10)


def test_auxiliary_logits_are_added_with_their_weight():
    student, teacher = torch.randn(2, 3, 2, 5, 4, 4)
    value = DISTLoss(temperature=2.0, aux_weight=0.3)([*student], [*teacher])
    parts = [dist(s, t, temperature=2.0) for s, t in zip(student, teacher, strict=True)]
    torch.testing.assert_close(value, parts[0] + 0.3 * (parts[1] + parts[2]))


def test_pearson_is_that_of_numpy():
    x, y = torch.randn(2, 4, 50, dtype=torch.float64)
    expected = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(x, y, strict=True)])
    torch.testing.assert_close(pearson(x, y, dim=1), expected, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(pearson(x.mT, y.mT, dim=0), expected, rtol=1e-7, atol=1e-7)


def test_is_zero_at_equality_blind_to_shifts_and_positive_elsewhere():
    student, teacher = torch.randn(2, 2, 5, 4, 4)
    shift = torch.randn(2, 1, 4, 4)
    assert dist(teacher, teacher).item() == pytest.approx(0, abs=1e-5)
    assert dist(student, teacher) > 0.1
    torch.testing.assert_close(dist(student + shift, teacher), dist(student, teacher))


def test_the_relation_between_pixels_is_over_the_whole_batch():
    student, teacher = torch.randn(2, 3, 5, 2, 4)
    value = dist(student, teacher)
    as_one = [torch.cat(list(x), dim=1)[None] for x in (student, teacher)]
    torch.testing.assert_close(dist(*as_one), value)
    torch.testing.assert_close(dist(student[[2, 0, 1]], teacher[[2, 0, 1]]), value)
    torch.testing.assert_close(dist(student.mT, teacher.mT), value)
    alone = torch.stack([dist(s[None], t[None], beta=0.0) for s, t in zip(student, teacher, strict=True)])
    assert (alone.mean() - dist(student, teacher, beta=0.0)).abs() > 1e-3


def test_a_reversed_order_costs_most():
    logits = torch.tensor([[[[2.0, -2.0]], [[-2.0, 2.0]]]])
    assert dist(logits, -logits, beta=1.0, gamma=2.0).item() == pytest.approx(2 + 4, rel=1e-5)


@pytest.mark.parametrize("constant", ["student", "teacher", "both"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_logits_count_as_uncorrelated_and_give_small_finite_gradients(constant, dtype):
    """A head of zero weights gives the same probabilities everywhere; 1 / 19 is not exact."""
    maps = torch.randn(2, 2, 19, 5, 7, dtype=dtype)
    maps[{"student": 0, "teacher": 1, "both": slice(None)}[constant]] = 0.3
    student, teacher = maps.unbind()
    student = student.clone().requires_grad_()
    value = dist(student, teacher)
    value.backward()
    assert value.item() == 2
    assert student.grad.abs().max() == 0


def test_one_pixel_gives_the_relation_between_its_classes_alone():
    student = torch.randn(1, 5, 1, 1, requires_grad=True)
    value = dist(student, torch.randn(1, 5, 1, 1), gamma=1.0)
    value.backward()
    assert 1 <= value <= 3
    assert student.grad.isfinite().all()


def test_certain_networks_and_unseen_classes_give_finite_gradients():
    student, teacher = 200 * torch.randn(2, 2, 19, 5, 7)
    student[:, 3], teacher[:, 3] = -1e4, -1e4
    student = student.clone().requires_grad_()
    value = dist(student, teacher)
    value.backward()
    assert value.isfinite()
    assert student.grad.isfinite().all()
    assert student.grad.abs().max() < 10


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x: DISTLoss(temperature=0), "`temperature` must be a finite number above 0; got 0."),
        (lambda x: DISTLoss(aux_weight=-1), "`aux_weight` must be a finite number of at least 0; got -1."),
        (lambda x: DISTLoss(beta=-1), "`beta` must be a finite number of at least 0; got -1."),
        (lambda x: DISTLoss(gamma=float("nan")), "`gamma` must be a finite number of at least 0; got nan."),
        (lambda x: dist(x, x, gamma=-1), "`gamma` must be a finite number of at least 0; got -1."),
        (lambda x: dist(x, x[:, :4]), "`teacher` must have the channels of `student`; got 4 and 5."),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call(torch.randn(2, 5, 3, 4))
