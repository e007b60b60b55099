"""What several processes share."""

from types import SimpleNamespace

import pytest
from torch import nn

from segdistill import Distiller, Term
from segdistill.engine.step import wrap
from segdistill.losses import CIRKDLoss


@pytest.mark.parametrize(("num_processes", "ignored"), [(1, None), (2, {"pixels", "regions"})])
def test_buffers_that_a_loss_keeps_equal_are_not_sent(num_processes, ignored):
    loss = CIRKDLoss(5, 5, num_classes=5, memory=True, pixel_memory=3, region_memory=3)
    distiller = Distiller(nn.Conv2d(3, 5, 1), [Term(loss, layer="logits", name="memory"), Term("kd")])
    accelerator = SimpleNamespace(num_processes=num_processes, prepare_model=lambda model: model)
    assert wrap(distiller, accelerator) is distiller
    found = getattr(distiller, "_ddp_params_and_buffers_to_ignore", None)
    names = [f"losses.memory.{memory}.{name}" for memory in ("pixels", "regions") for name in ("keys", "next_slot")]
    assert found == (None if ignored is None else names)
    assert found is None or set(found) < {name for name, _ in distiller.named_buffers()}
