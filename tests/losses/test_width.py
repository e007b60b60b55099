"""Af-DCD and MGD in few directions: what they are of the projected map, by slow loops and by the losses themselves."""

import re

import pytest
import torch
from tests.losses.contract import SEED, Contract
from tests.reference.af_dcd import af_dcd_by_loops
from tests.reference.mgd import mgd_by_loops

from segdistill.losses import AfDCDLoss, MGDLoss
from segdistill.losses.common.generator import draw_keep

torch.set_num_threads(1)

CHANNELS, WIDTH = 9, 4
SMALL = {"groups": 2, "patch_size": (2, 2), "pool_size": 2}


def fitted(loss, seed=3):
    """With the principal directions of some cells."""
    torch.manual_seed(seed)
    cells = torch.randn(200, CHANNELS) * torch.logspace(0, -1, CHANNELS) + 0.3
    loss.directions.fit(cells.T @ cells)
    return loss


def projected(loss, teacher):
    return torch.einsum("wc,bchx->bwhx", loss.directions.matrix, teacher)


class Narrow(Contract):
    channels = 2, CHANNELS
    fixed = True
    sizes = (1, 1), (3, 5), (5, 9)
    exact = {"impl": "reference"}  # noqa: RUF012
    overflows = True
    parameter_types = torch.float32, torch.bfloat16
    gradcheck_size = 4, 5


class TestAfDCD(Narrow):
    def make(self, **options):
        return fitted(AfDCDLoss(2, CHANNELS, width=WIDTH, **SMALL, temperature=0.5, **options))

    def slow(self, loss, student, teacher, labels):
        torch.manual_seed(SEED)
        keep = draw_keep("random", 0.75, teacher)
        options = {"distance": "l1", "negatives": "other_groups"}
        shorter = float((loss.directions.energy * WIDTH / CHANNELS).sqrt())
        return af_dcd_by_loops(
            student, projected(loss, teacher), keep, loss.state_dict(), **SMALL, temperature=0.5 * shorter, **options
        )


class TestMGD(Narrow):
    def make(self, **options):
        return fitted(MGDLoss(2, CHANNELS, width=WIDTH, **options))

    def slow(self, loss, student, teacher, labels):
        torch.manual_seed(SEED)
        keep = draw_keep("random", 0.75, teacher)
        return mgd_by_loops(student, projected(loss, teacher), keep, loss.state_dict())


@pytest.mark.parametrize("impl", ["reference", "auto"])
@pytest.mark.parametrize("distance", ["l1", "l2", "cosine"])
@pytest.mark.parametrize("negatives", ["other_groups", "omni", "channel", "spatial"])
def test_it_is_the_loss_of_the_projected_map_at_a_lower_temperature(distance, negatives, impl):
    options = {**SMALL, "distance": distance, "negatives": negatives, "impl": impl, "mask": "centre"}
    loss = fitted(AfDCDLoss(2, CHANNELS, width=WIDTH, **options).double())
    shorter = float(loss.directions.shorter(distance))
    plain = AfDCDLoss(2, WIDTH, temperature=0.07 * shorter, **options).double()
    plain.load_state_dict({key: value for key, value in loss.state_dict().items() if "directions" not in key})
    student = torch.randn(2, 2, 6, 8, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(2, CHANNELS, 6, 8, dtype=torch.float64)
    ours, theirs = loss(student, teacher), plain(student, projected(loss, teacher))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    for value, expected in zip(ours, theirs, strict=True):
        (gradient,) = torch.autograd.grad(value, student, retain_graph=True)
        (other,) = torch.autograd.grad(expected, student, retain_graph=True)
        torch.testing.assert_close(gradient, other, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("kind", [AfDCDLoss, MGDLoss])
def test_a_map_that_was_projected_before_is_the_same(kind):
    options = SMALL if kind is AfDCDLoss else {}
    loss = fitted(kind(2, CHANNELS, width=WIDTH, mask="none", **options))
    student, teacher = torch.randn(2, 2, 6, 8), torch.randn(2, CHANNELS, 6, 8)
    torch.testing.assert_close(loss(student, teacher), loss(student, loss.directions(teacher)))


def test_the_mean_carries_over_between_widths():
    """A student that knows nothing errs by the energy that the directions keep, whatever their number."""
    teacher = torch.randn(2, CHANNELS, 6, 8)
    for width in (None, 2, 4, 8):
        loss = MGDLoss(2, CHANNELS, width=width, reduction="mean", mask="none")
        if width:
            fitted(loss)
        for parameter in loss.parameters():
            torch.nn.init.zeros_(parameter)
        kept = teacher if width is None else projected(loss, teacher)
        value = loss(torch.randn(2, 2, 6, 8), teacher)
        torch.testing.assert_close(value, kept.square().sum() / teacher.numel())


def test_without_a_width_nothing_is_projected_or_saved():
    loss = AfDCDLoss(2, 16, pool_size=1)
    assert loss.directions is None
    assert not [key for key in loss.state_dict() if "directions" in key]


def test_drawn_directions_need_no_fit_and_are_the_seeds():
    maps = torch.randn(1, 2, 4, 4), torch.randn(1, CHANNELS, 4, 4)
    values = []
    for _ in range(2):
        torch.manual_seed(1)
        loss = MGDLoss(2, CHANNELS, width=WIDTH, basis="random", mask="none")
        values.append(loss(*maps))
    assert values[0] == values[1]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: AfDCDLoss(2, 32, width=32), "`width` must be below the teacher's 32 channels; got 32."),
        (
            lambda: AfDCDLoss(2, 32, width=20),
            "`groups` must divide the number of channels; got 16 groups of 20 channels.",
        ),
        (lambda: MGDLoss(2, 32, width=0), "`width` must be an integer of at least 1; got 0."),
        (lambda: MGDLoss(2, 32, width=8, basis="ica"), "got 'ica'."),
        (lambda: MGDLoss(2, 32, width=8)(torch.rand(1, 2, 4, 4), torch.rand(1, 32, 4, 4)), "must be fitted"),
        (
            lambda: MGDLoss(2, 32, width=8)(torch.rand(1, 2, 4, 4), torch.rand(1, 9, 4, 4)),
            "must have 32 channels; got 9",
        ),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call()
