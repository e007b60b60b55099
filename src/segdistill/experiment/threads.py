"""How many threads a run on a CPU uses.

torch takes all cores. Small networks gain little by it, and when another process wants a core, the threads wait for
each other at the end of every layer: measured on two cores, steps take four to seven times as long. So a run takes
a thread more only for so much work a layer. The rule needs no clock, since the number of threads changes the last bits
of a result: equal runs on one machine must choose alike. docs/architecture.md has the measurements.
"""

import os

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from segdistill.distill import Distiller
from segdistill.networks import Teacher

WORK_PER_THREAD = 400e6
"""Floating-point operations of a layer's forward and backward pass from which a further thread pays."""

CORES = "SEGDISTILL_CORES"
"""Environment variable: how many cores this process may use, where several share the machine."""

_USERS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_LAYERS = (nn.modules.conv._ConvNd, nn.Linear)


def choose_threads(distiller: Distiller, teacher: Teacher | None, crop_size: tuple[int, int], images: int) -> int:
    """Threads for training steps of these networks; as they are where the user has set them.

    Args:
        distiller: Student and terms, on the CPU.
        teacher: Or None.
        crop_size: (height, width) of a crop, pixels.
        images: Crops in a micro-batch.
    """
    given = torch.get_num_threads()
    if any(name in os.environ for name in _USERS):
        return given
    allowed = min(given, int(os.environ.get(CORES, given)))
    return max(1, min(allowed, int(work_per_layer(distiller, teacher, crop_size, images) / WORK_PER_THREAD)))


@torch.no_grad()
def work_per_layer(distiller: Distiller, teacher: Teacher | None, crop_size: tuple[int, int], images: int) -> float:
    """Floating-point operations of a training step divided by the number of layers that multiply.

    Counted in one forward pass of one crop. A backward pass takes twice as many; the teacher has none.
    """
    modes = {module: module.training for module in distiller.modules()}
    image = torch.zeros(1, 3, *crop_size)
    distiller.eval()
    state = torch.get_rng_state()
    with FlopCounterMode(display=False) as of_student, torch.compiler.set_stance("force_eager"):
        distiller.network(image)
    with FlopCounterMode(display=False) as of_teacher, torch.compiler.set_stance("force_eager"):
        if teacher is not None:
            teacher(image)
    torch.set_rng_state(state)
    for module, mode in modes.items():
        module.training = mode
    flops = 3 * of_student.get_total_flops() + of_teacher.get_total_flops()
    networks = [distiller.network, *([] if teacher is None else [teacher])]
    layers = sum(isinstance(layer, _LAYERS) for network in networks for layer in network.modules())
    return float(images * flops / max(1, layers))
