"""Numbers of a recipe that follow from images: crop, batch, steps, workers."""

import os
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from segdistill.data import size_of

PASSES: Final = 100
FEWEST, MOST = 2000, 40_000
_GRID: Final = 32
_CROP: Final = 512
_LARGE: Final = 2048
_MEASURED: Final = 500
_WORKERS: Final = 8


class Measures(NamedTuple):
    """What images say.

    Attributes:
        size: (height, width) of the median image.
        smallest: Least height and width.
        largest: Greatest height and width.
        crop: (height, width).
        scale: ``image_scale`` that is worth a thought; None for images that are not large.
        batch: Images a step.
        steps: Of the training.
        workers: Of the loader.
    """

    size: tuple[int, int]
    smallest: tuple[int, int]
    largest: tuple[int, int]
    crop: tuple[int, int]
    scale: float | None
    batch: int
    steps: int
    workers: int


def measure(images: Sequence[Path], num_train: int) -> Measures:
    """Measure up to 500 images by their headers.

    Args:
        images: Of all splits.
        num_train: How many of them are trained on.
    """
    sizes = [size for size in map(size_of, images[:: -(-len(images) // _MEASURED)]) if all(size)] or [(_CROP, _CROP)]
    heights, widths = [height for height, _ in sizes], [width for _, width in sizes]
    middle = int(median(heights)), int(median(widths))
    batch = next(size for size in (8, 4, 2) if size <= max(2, num_train))
    steps = min(MOST, max(FEWEST, round(num_train * PASSES / batch, -2)))
    scale = None
    if max(middle) > _LARGE:
        scale = next(part for part in (0.5, 0.25, 0.125, 0.0625) if max(middle) * part <= _LARGE or part < 0.1)
    return Measures(
        middle,
        (min(heights), min(widths)),
        (max(heights), max(widths)),
        (_crop(middle[0]), _crop(middle[1])),
        scale,
        batch,
        int(steps),
        workers(),
    )


def workers() -> int:
    """One a core, 8 at most."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(_WORKERS, allowed)


def _crop(side: int) -> int:
    """The greatest multiple of 32 that fits, 512 at most; a smaller side is taken as it is."""
    return min(_CROP, side // _GRID * _GRID) or side
