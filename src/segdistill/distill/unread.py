"""What of a student nobody learns from."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segdistill.distill.distiller import Distiller


def unread_parameters(distiller: Distiller) -> list[nn.Parameter]:
    """Parameters that lead to outputs which no loss reads, as an auxiliary head where ``aux_weight`` is 0.

    They get no gradient, which does not matter to one process, but several would wait for it. They are found by a run
    on a small image in evaluation mode; none are found where the student takes no such image.
    """
    network = distiller.network
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    read = {"logits", *(layer for pairs in distiller.layers.values() for layer, _ in pairs)}
    if distiller.aux_weight:
        read.add("aux_logits")
    found: list[nn.Parameter] = []

    def run(image: Tensor) -> object:
        with torch.enable_grad():
            output = network(image)
            maps = {"logits": output.logits, "aux_logits": output.aux_logits, **output.features}
            used, others = (
                _reached([maps[name] for name in maps if (name in read) == wanted], parameters)
                for wanted in (True, False)
            )
        found[:] = [parameter for parameter, a, b in zip(parameters, used, others, strict=True) if b and not a]
        return output

    network.trial(run)
    return found


def _reached(maps: Sequence[Tensor | None], parameters: Sequence[nn.Parameter]) -> list[bool]:
    """Which parameters a gradient of the maps gets to."""
    ends = [one.sum() for one in maps if one is not None and one.requires_grad]
    if not ends or not parameters:
        return [False] * len(parameters)
    grads = torch.autograd.grad(ends, parameters, retain_graph=True, allow_unused=True)
    return [grad is not None for grad in grads]
