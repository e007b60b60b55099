"""How long networks take for one image, measured in turn."""

import statistics
import time
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from segdistill.engine import Segment, to_device
from segdistill.types import Batch

LATENCY_WARM_UP = 3  # passes before those that are timed


def latencies(
    segments: Mapping[str, Segment], loader: Iterable[Batch], device: torch.device, *, repeats: int
) -> dict[str, float]:
    """Median milliseconds from one image of the set to its logits, batch 1, of every network."""
    image = to_device(next(iter(loader)), device).image
    timed = timings(segments, image, repeats=repeats)
    return {name: round(statistics.median(times), 3) for name, times in timed.items()}


@torch.no_grad()
def timings(segments: Mapping[str, Segment], image: Tensor, *, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of every pass over ``image`` after some for warming up.

    Networks take turns, so that a slow moment is slow for all.
    """
    taken: dict[str, list[float]] = {name: [] for name in segments}
    for _ in range(LATENCY_WARM_UP + repeats):
        for name, segment in segments.items():
            start = time.perf_counter()
            segment(image)
            if image.device.type == "cuda":
                torch.cuda.synchronize(image.device)
            taken[name].append(1e3 * (time.perf_counter() - start))
    return {name: times[LATENCY_WARM_UP:] for name, times in taken.items()}
