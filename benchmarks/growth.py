"""How time and memory of our path grow: twice the images, twice the positions, over four sizes each."""

from collections.abc import Iterator
from typing import Any

import torch

from benchmarks import loss
from benchmarks.harness import measure
from segdistill.losses import AfDCDLoss
from segdistill.ops import dense_contrast

CHANNELS = {"cpu": (128, 512), "cuda": (512, 2048)}  # of the whole loss: a CPU's are narrower, to be done in minutes
IMAGES = [((32, 32), batch) for batch in (1, 2, 4, 8)]
POSITIONS = [(size, 1) for size in ((32, 32), (32, 64), (64, 64), (64, 128))]


def run(device: torch.device, *, turns: int, batches: tuple[int, ...] | None = None) -> Iterator[dict[str, Any]]:
    """One record a case: what grows, and by how much it has grown."""
    del batches
    for along, cases in (("images", IMAGES), ("positions", POSITIONS)):
        for size, batch in cases:
            amount = batch if along == "images" else size[0] * size[1]
            for what, measured in (
                ("contrast", contrast(device, size, batch, turns)),
                ("loss", whole(device, size, batch, turns)),
            ):
                yield {"of": what, "along": along, "amount": amount, "map": list(size), "batch": batch, **measured}


def contrast(device: torch.device, size: tuple[int, int], batch: int, turns: int) -> dict[str, Any]:
    """On maps of 2048 channels, without pooling."""
    student = torch.randn(batch, 2048, *size, device=device, requires_grad=True)
    teacher = torch.randn(batch, 2048, *size, device=device)
    return measure({"ours": lambda: dense_contrast(student, teacher)}, [student], turns=turns, device=device)


def whole(device: torch.device, size: tuple[int, int], batch: int, turns: int) -> dict[str, Any]:
    """The whole loss."""
    narrow, wide = CHANNELS[device.type]
    module = AfDCDLoss(narrow, wide).to(device)
    student = torch.randn(batch, narrow, *size, device=device, requires_grad=True)
    teacher = torch.randn(batch, wide, *size, device=device)
    leaves = [student, *module.parameters()]
    ways = {"ours": lambda: loss.total(module, student, teacher)}
    return {"channels": [narrow, wide], **measure(ways, leaves, turns=turns, device=device)}
