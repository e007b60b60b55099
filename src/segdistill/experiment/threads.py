"""How many threads a run on a CPU uses.

torch takes all cores. Small networks gain little by that, and when another process wants a core, the threads wait for
each other at the end of every layer: on two cores, steps beside one busy process took four to ten times as long
(docs/threads.md). So a run takes a thread more only for so much work a layer. The choice needs no clock: the number of
threads changes the last bits of a result, so equal runs on one machine must choose alike, and a resumed run goes on
with what it had.
"""

import contextlib
import os
from collections.abc import Iterator

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from segdistill.experiment.session import Built
from segdistill.networks import evaluating
from segdistill.recipe import Recipe

WORK_PER_THREAD = 60e6
"""Floating-point operations of a layer's forward and backward pass from which a further thread pays."""

CORES = "SEGDISTILL_CORES"
"""Environment variable: how many cores this process may use, where several of ours share the machine."""

_USERS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_LAYERS = (nn.modules.conv._ConvNd, nn.Linear)


@contextlib.contextmanager
def chosen_threads(recipe: Recipe, built: Built, device: torch.device, earlier: int | None) -> Iterator[None]:
    """What runs inside has the threads of its run; afterwards the process has those that it had.

    Args:
        recipe: ``train.threads``, if it says so.
        built: The networks, from whose work it follows otherwise.
        device: On a GPU nothing is changed.
        earlier: Threads of the run that is resumed; None for a new one.
    """
    given = torch.get_num_threads()
    if device.type != "cpu" or any(name in os.environ for name in _USERS):
        yield
        return
    allowed = min(given, int(os.environ.get(CORES, given)))
    wanted = recipe.train.threads or earlier or int(work_per_layer(recipe, built) / WORK_PER_THREAD)
    threads = max(1, min(allowed, wanted))
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(given)


@torch.no_grad()
def work_per_layer(recipe: Recipe, built: Built) -> float:
    """Floating-point operations of a training step's micro-batch, divided by the number of layers that multiply.

    Counted in a forward pass over one crop. A student's backward pass takes twice as many; a teacher has none.
    Losses are left out: their layers are as large as the largest.
    """
    networks = [built.distiller.network, *built.teachers.values()]
    image = torch.zeros(1, recipe.data.channels, *recipe.data.crop_size)
    flops = 0.0
    with evaluating(built.distiller), torch.random.fork_rng(devices=[]), torch.compiler.set_stance("force_eager"):
        for number, network in enumerate(networks):
            with FlopCounterMode(display=False) as counter:
                network(image)
            flops += (1 if number else 3) * counter.get_total_flops()
    layers = sum(isinstance(layer, _LAYERS) for network in networks for layer in network.modules())
    images = recipe.data.batch_size // recipe.train.accumulate
    return images * flops / max(1, layers)
