"""How long networks take for one image, measured in turn."""

import statistics
import time
from collections.abc import Iterable, Mapping

import torch

from segdistill.engine import Segment, to_device
from segdistill.types import Batch

LATENCY_WARM_UP = 3  # passes before those that are timed


@torch.no_grad()
def latencies(
    segments: Mapping[str, Segment], loader: Iterable[Batch], device: torch.device, *, repeats: int
) -> dict[str, float]:
    """Median milliseconds from one image of the set to its logits, batch 1, of every network.

    Networks take turns, so that a slow moment is slow for all.
    """
    image = to_device(next(iter(loader)), device).image
    seconds: dict[str, list[float]] = {name: [] for name in segments}
    for _ in range(LATENCY_WARM_UP + repeats):
        for name, segment in segments.items():
            start = time.perf_counter()
            segment(image)
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - start)
    return {name: round(1e3 * statistics.median(times[LATENCY_WARM_UP:]), 3) for name, times in seconds.items()}
