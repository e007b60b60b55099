"""Losses whose work depends on labels and on a count of calls: the host must learn neither from a GPU."""

import pytest
import torch
from tests.waits import watched

from segdistill.losses.cirkd import CIRKDLoss
from segdistill.losses.maskd import MasKDLoss
from segdistill.types import IGNORE_INDEX


def maps_and_labels(student, teacher):
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0, 2, IGNORE_INDEX])[torch.randint(0, 3, (2, 40, 48), generator=generator)]
    maps = (torch.randn(2, width, 5, 6, generator=generator) for width in (student, teacher))
    return *(x.requires_grad_() for x in maps), labels


def step(loss, student, teacher, labels):
    terms = loss(student, teacher, labels)
    sum(terms).backward()
    return terms


@pytest.mark.parametrize("paper", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_a_memory_of_keys(paper, training):
    options = {"pixel_memory": 6, "region_memory": 2, "pixel_keys": 9, "region_keys": 9, "push_pixels": 2}
    loss = CIRKDLoss(3, 4, num_classes=3, memory=True, paper=paper, **options).train(training)
    given = maps_and_labels(3, 4)
    before = loss.pixels.keys.clone()
    with watched() as found:
        for _ in range(3):
            terms = step(loss, *given)
    assert found == []
    assert all(part > 0 for part in terms)
    assert loss.pixels.keys.equal(before) == (not training)


def test_tokens_that_are_learnt_then_frozen():
    loss, given = MasKDLoss(4, token_steps=2), maps_and_labels(4, 4)
    with watched() as found:
        values = [step(loss, *given) for _ in range(4)]
    assert found == []
    assert [bool(part.masks > 0) for part in values] == [True, True, False, False]
    assert [bool(part.mimic > 0) for part in values] == [False, False, True, True]


def test_a_loaded_count_of_calls_is_read_once():
    loss, given = MasKDLoss(4, token_steps=3), maps_and_labels(4, 4)
    step(loss, *given)
    resumed = MasKDLoss(4, token_steps=3)
    resumed.load_state_dict(loss.state_dict())
    with watched() as found:
        values = [step(resumed, *given) for _ in range(3)]
    assert set(found) == {"__int__", "_local_scalar_dense"}
    assert len(found) == 2
    assert [bool(part.mimic > 0) for part in values] == [False, False, True]
