"""The whole Af-DCD loss: projection, mask, generator, both terms, forward and backward, at the published widths."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.harness import Way, measure
from benchmarks.reference import PublishedAfDCD
from segdistill.losses import AfDCDLoss

CHANNELS = 2048
WIDTHS = (512, 320)  # ResNet-18, MobileNetV2
SIZES = {"45x45": (45, 45), "64x64": (64, 64), "64x128": (64, 128)}
BATCHES = {"cpu": (1, 2), "cuda": (1, 2, 8, 16)}
WEIGHTS = (2e-6, 5e-3)
FEW = 8  # times fewer directions than channels, in the narrow way
NARROW = f"in 1/{FEW} of the directions"


def run(device: torch.device, *, turns: int, batches: tuple[int, ...] | None = None) -> Iterator[dict[str, Any]]:
    """One record a case."""
    for student_channels in WIDTHS:
        for name, size in SIZES.items():
            for batch in batches or BATCHES[device.type]:
                yield case(device, student_channels, name, size, batch, turns=turns)


def case(
    device: torch.device,
    student_channels: int,
    name: str,
    size: tuple[int, int],
    batch: int,
    *,
    turns: int,
    channels: int = CHANNELS,
) -> dict[str, Any]:
    """Reference and ours on one pair of maps, with the same parameters and a mask of their own at every call."""
    pool_size = 1 if name == "45x45" else 4
    reference = PublishedAfDCD(student_channels, channels, pool_size=pool_size).to(device)
    ours = AfDCDLoss(student_channels, channels, pool_size=pool_size).to(device)
    ours.load_state_dict(reference.state_dict())
    narrow = AfDCDLoss(student_channels, channels, pool_size=pool_size, width=channels // FEW, basis="random").to(
        device
    )
    student = torch.randn(batch, student_channels, *size, device=device, requires_grad=True)
    teacher = torch.randn(batch, channels, *size, device=device).relu()
    ways: dict[str, Way] = {
        "reference": lambda: total(reference, student, teacher),
        "ours": lambda: total(ours, student, teacher),
        NARROW: lambda: total(narrow, student, teacher),  # its projection included
    }
    if device.type == "cuda":
        # A loop in bf16 has channels-last maps, the teacher's in bf16.
        teacher_low = teacher.bfloat16().to(memory_format=torch.channels_last)

        def low() -> Tensor:
            with torch.autocast(device.type, dtype=torch.bfloat16):
                return total(ours, student, teacher_low)

        ways["ours bf16"] = low
    leaves = [student, *reference.parameters(), *ours.parameters(), *narrow.parameters()]
    found = measure(ways, leaves, turns=turns, device=device)
    return {"student_channels": student_channels, "channels": channels, "map": name, "batch": batch, **found}


def total(loss: nn.Module, student: Tensor, teacher: Tensor) -> Tensor:
    """Both terms with the weights of the Cityscapes runs."""
    mimic, contrast = loss(student, teacher)
    weighted: Tensor = WEIGHTS[0] * mimic + WEIGHTS[1] * contrast
    return weighted
