"""What several processes share."""

from types import SimpleNamespace

import pytest
from torch import nn

from segdistill import Distiller, Term
from segdistill.engine.step import wrap
from segdistill.losses import CIRKDLoss
from segdistill.types import SegOutput


class WithAux(nn.Module):
    """A network with an auxiliary head."""

    def __init__(self):
        super().__init__()
        self.body, self.head, self.aux = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 1), nn.Conv2d(4, 5, 1)

    def forward(self, image):
        deep = self.body(image)
        return SegOutput(self.head(deep), self.aux(deep), {"deep": deep})


def shared_by(num_processes):
    return SimpleNamespace(num_processes=num_processes, prepare_model=lambda model: model)


@pytest.mark.parametrize(("num_processes", "ignored"), [(1, None), (2, {"pixels", "regions"})])
def test_buffers_that_a_loss_keeps_equal_are_not_sent(num_processes, ignored):
    loss = CIRKDLoss(5, 5, num_classes=5, memory=True, pixel_memory=3, region_memory=3)
    distiller = Distiller(nn.Conv2d(3, 5, 1), [Term(loss, layer="logits", name="memory"), Term("kd")])
    assert wrap(distiller, shared_by(num_processes)) is distiller
    found = getattr(distiller, "_ddp_params_and_buffers_to_ignore", None)
    names = [f"losses.memory.{memory}.{name}" for memory in ("pixels", "regions") for name in ("keys", "next_slot")]
    assert found == (None if ignored is None else names)
    assert found is None or set(found) < {name for name, _ in distiller.named_buffers()}


@pytest.mark.parametrize(("num_processes", "aux_weight", "frozen"), [(1, 0.0, False), (2, 0.0, True), (2, 0.4, False)])
def test_an_auxiliary_head_that_nobody_reads_is_frozen_where_others_would_wait_for_it(
    num_processes, aux_weight, frozen
):
    distiller = Distiller(WithAux(), aux_weight=aux_weight)
    wrap(distiller, shared_by(num_processes))
    learns = {name for name, parameter in distiller.student.named_parameters() if parameter.requires_grad}
    everything = {name for name, _ in distiller.student.named_parameters()}
    assert learns == everything - ({"aux.weight", "aux.bias"} if frozen else set())
