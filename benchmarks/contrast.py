"""The contrast alone: on maps after the pooling, at the published sizes; other kinds at one of them."""

from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.harness import Way, measure
from benchmarks.reference import published_contrast
from segdistill.ops import dense_contrast

CHANNELS = 2048
SIZES = {"64x128": (16, 32), "64x64": (16, 16), "45x45": (45, 45)}  # CamVid's maps are not pooled
BATCHES = (1, 2, 8, 16)
KINDS = (("l2", "other_groups"), ("cosine", "other_groups"), ("l1", "omni"), ("l1", "channel"), ("l1", "spatial"))


def run(device: torch.device, *, turns: int, batches: tuple[int, ...] | None = None) -> Iterator[dict[str, Any]]:
    """One record a case."""
    for name, size in SIZES.items():
        for batch in batches or BATCHES:
            yield case(device, name, size, batch, "l1", "other_groups", turns=turns)
    for distance, negatives in KINDS:
        yield case(device, "64x128", SIZES["64x128"], 2, distance, negatives, turns=turns)


def case(
    device: torch.device, name: str, size: tuple[int, int], batch: int, distance: str, negatives: str, *, turns: int
) -> dict[str, Any]:
    """Reference and ours on one pair of maps."""
    student = torch.randn(batch, CHANNELS, *size, device=device, requires_grad=True)
    teacher = torch.randn(batch, CHANNELS, *size, device=device).relu()
    options: dict[str, Any] = {"distance": distance, "negatives": negatives}
    ways: dict[str, Way] = {
        "reference": lambda: published_contrast(student, teacher, **options),
        "ours": lambda: dense_contrast(student, teacher, impl="auto", **options),
    }
    if device.type == "cuda":
        low = [x.detach().bfloat16() for x in (student, teacher)]
        low[0].requires_grad_()
        ways["ours bf16"] = lambda: dense_contrast(*low, impl="auto", **options)
        leaves = [student, low[0]]
    else:
        leaves = [student]
    found = measure(ways, leaves, turns=turns, device=device)
    return {"map": name, "pooled": list(size), "batch": batch, **options, **found}
