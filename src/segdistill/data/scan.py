"""Reading a whole data set once, to find every fault before a run and to count its classes."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from segdistill.data.base import SegmentationDataset
from segdistill.types import IGNORE_INDEX
from segdistill.util import ArgumentError, DataError


class Fault(NamedTuple):
    """One thing that is wrong.

    Attributes:
        path: The file.
        problem: What is wrong, as the rest of a sentence that starts with the path.
        remedy: What to do about it: a sentence.
    """

    path: Path
    problem: str
    remedy: str

    @classmethod
    def of(cls, error: DataError) -> "Fault":
        """What an error says."""
        return cls(error.path, error.problem, error.remedy)


class ScanReport(NamedTuple):
    """What a scan found.

    Attributes:
        num_samples: Samples of the split, good and bad.
        faults: In the order of the samples; then masks without an image.
        histogram: (num_classes,), int64: pixels of each train id in the good samples.
        ignored_pixels: Pixels that do not count.
        image_sizes: Number of good images by (height, width), most frequent first.
        missing_classes: Names of the classes without a pixel; empty if no sample is labelled.
    """

    num_samples: int
    faults: list[Fault]
    histogram: Tensor
    ignored_pixels: int
    image_sizes: dict[tuple[int, int], int]
    missing_classes: list[str]


def scan(
    dataset: SegmentationDataset,
    *,
    num_workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> ScanReport:
    """Decode every sample and report all faults instead of raising the first.

    Args:
        dataset: The split to read.
        num_workers: Threads; 0 counts as 1. The report does not depend on it.
        progress: Called after every sample with the number done and the total.

    Raises:
        ValueError: If ``num_workers`` is negative.
    """
    if num_workers < 0:
        raise ArgumentError(f"`num_workers` must not be negative; got {num_workers}.")
    total, num_classes = len(dataset), dataset.labels.num_classes
    faults: list[Fault] = []
    counts = torch.zeros(IGNORE_INDEX + 1, dtype=torch.int64)
    sizes: Counter[tuple[int, int]] = Counter()
    with ThreadPoolExecutor(max(1, num_workers)) as pool:
        results = pool.map(lambda index: _read(dataset, index), range(total))
        for done, result in enumerate(results, start=1):
            if isinstance(result, Fault):
                faults.append(result)
            else:
                sizes[result[0]] += 1
                counts += result[1]
            if progress is not None:
                progress(done, total)
    faults += [
        Fault(path, "is a mask without an image", "Restore the image, or remove the mask.") for path in dataset.unpaired
    ]
    histogram = counts[:num_classes].clone()
    missing = [name for name, pixels in zip(dataset.labels.names, histogram.tolist(), strict=True) if not pixels]
    return ScanReport(
        num_samples=total,
        faults=faults,
        histogram=histogram,
        ignored_pixels=int(counts[IGNORE_INDEX]),
        image_sizes=dict(sizes.most_common()),
        missing_classes=missing if histogram.any() else [],
    )


def _read(dataset: SegmentationDataset, index: int) -> Fault | tuple[tuple[int, int], Tensor]:
    """Size and pixels by train id of one sample, or what is wrong with it."""
    try:
        image, mask = dataset.load(index)
    except DataError as error:
        return Fault.of(error)
    pixels = torch.bincount(mask.as_subclass(Tensor).flatten(), minlength=IGNORE_INDEX + 1)
    return (image.shape[-2], image.shape[-1]), pixels
