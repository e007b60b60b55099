"""Reading a whole data set once, to find every fault before a run and to count its classes."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from segdistill.data.base import SegmentationDataset
from segdistill.data.cache.read import Prepared
from segdistill.data.fingerprints import Fingerprint, fingerprint
from segdistill.data.pictures import size_of
from segdistill.data.selection import Selection
from segdistill.data.values import mask_values
from segdistill.types import IGNORE_INDEX
from segdistill.util import ArgumentError, DataError

NUM_NOTABLE: Final = 12
"""Faulty samples, and samples without labels, that a report remembers for a contact sheet."""


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


class Sighting(NamedTuple):
    """Masks that hold something.

    Attributes:
        masks: The files.
        pixels: How many pixels of them.
    """

    masks: list[Path]
    pixels: int


class Notable(NamedTuple):
    """Samples worth a look, by their positions.

    Attributes:
        faulty: The first few whose mask or image has a fault.
        unlabelled: The first few good ones whose mask has no pixel that counts.
        fullest: By train id, the good one with the most pixels of the class.
    """

    faulty: list[int]
    unlabelled: list[int]
    fullest: dict[int, int]


class ScanReport(NamedTuple):
    """What a scan found.

    Attributes:
        num_samples: Samples of the split, good and bad.
        faults: In the order of the samples; then masks without an image.
        histogram: (num_classes,), int64: pixels of each train id in the good samples.
        ignored_pixels: Pixels that do not count.
        image_sizes: Number of good images by (height, width), most frequent first.
        missing_classes: Names of the classes without a pixel; empty if no sample is labelled.
        masks: Samples that have a mask.
        unlabelled: Good samples that have a mask, without a pixel that counts.
        unknown_ids: Where masks hold a value that the class table does not have, by value. Each of these masks is
            among the faults too.
        pairs: Masks that hold exactly two values, which are no neighbours, by these values; with those that hold
            one of the two alone.
        fingerprints: One of every good image, if they were asked for.
        notable: What a contact sheet shows.
    """

    num_samples: int
    faults: list[Fault]
    histogram: Tensor
    ignored_pixels: int
    image_sizes: dict[tuple[int, int], int]
    missing_classes: list[str]
    masks: int
    unlabelled: int
    unknown_ids: dict[int, Sighting]
    pairs: dict[tuple[int, int], Sighting]
    fingerprints: list[Fingerprint]
    notable: Notable


class _Seen(NamedTuple):
    """What one sample showed."""

    mask: Path | None
    values: dict[int, int]  # pixels by value in the mask, where that was looked at
    fault: Fault | None = None
    size: tuple[int, int] | None = None
    pixels: Tensor | None = None  # by train id
    fingerprint: Fingerprint | None = None


def scan(
    dataset: SegmentationDataset,
    *,
    num_workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    fingerprints: bool = False,
) -> ScanReport:
    """Decode every sample and report all faults instead of raising the first.

    Args:
        dataset: The split to read.
        num_workers: Threads; 0 counts as 1. The report does not depend on it.
        progress: Called after every sample with the number done and the total.
        fingerprints: Whether to keep what `same_pictures` compares, about 100 bytes an image.

    Raises:
        ValueError: If ``num_workers`` is negative.
    """
    if num_workers < 0:
        raise ArgumentError(f"`num_workers` must not be negative; got {num_workers}.")
    total, num_classes = len(dataset), dataset.labels.num_classes
    known = set(dataset.labels.id_to_train_id)
    faults: list[Fault] = []
    counts = torch.zeros(IGNORE_INDEX + 1, dtype=torch.int64)
    sizes: Counter[tuple[int, int]] = Counter()
    masks = unlabelled = 0
    unknown: dict[int, Sighting] = {}
    sparse: dict[tuple[int, ...], Sighting] = {}
    prints: list[Fingerprint] = []
    notable, most = Notable([], [], {}), torch.zeros(num_classes, dtype=torch.int64)
    with ThreadPoolExecutor(max(1, num_workers)) as pool:
        results = pool.map(lambda index: _read(dataset, index, fingerprints), range(total))
        for index, seen in enumerate(results):
            masks += seen.mask is not None
            if seen.fault is not None:
                faults.append(seen.fault)
                if len(notable.faulty) < NUM_NOTABLE:
                    notable.faulty.append(index)
            if seen.size is not None and seen.pixels is not None:
                sizes[seen.size] += 1
                counts += seen.pixels
                blank = seen.mask is not None and not seen.pixels[:num_classes].any()
                unlabelled += blank
                if blank and len(notable.unlabelled) < NUM_NOTABLE:
                    notable.unlabelled.append(index)
                more = seen.pixels[:num_classes] > most
                most = torch.maximum(most, seen.pixels[:num_classes])
                notable.fullest.update(dict.fromkeys(more.nonzero().flatten().tolist(), index))
            if seen.fingerprint is not None:
                prints.append(seen.fingerprint)
            if seen.mask is not None:
                for value in seen.values.keys() - known:
                    _add(unknown, value, seen.mask, seen.values[value])
                if 0 < len(seen.values) <= 2:
                    _add(sparse, tuple(sorted(seen.values)), seen.mask, sum(seen.values.values()))
            if progress is not None:
                progress(index + 1, total)
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
        masks=masks,
        unlabelled=unlabelled,
        unknown_ids=dict(sorted(unknown.items())),
        pairs=_pairs(sparse),
        fingerprints=prints,
        notable=notable,
    )


def _read(dataset: SegmentationDataset, index: int, fingerprints: bool) -> _Seen:
    """Size and pixels by train id of one sample, or what is wrong with it."""
    owner, image_path, mask_path = _origin(dataset, index)
    try:
        image, mask = dataset.load(index)
    except DataError as error:
        values: dict[int, int] = {}
        if mask_path is not None and error.path == mask_path and _fits(mask_path, image_path):
            values = mask_values(owner, mask_path)
        return _Seen(mask_path, values, fault=Fault.of(error))
    pixels = torch.bincount(mask.as_subclass(Tensor).flatten(), minlength=IGNORE_INDEX + 1)
    few = mask_path is not None and int((pixels > 0).sum()) <= 2  # other masks cannot hold two values alone
    values = mask_values(owner, mask_path) if few and mask_path is not None else {}
    shown = fingerprint(image_path, image) if fingerprints else None
    return _Seen(mask_path, values, size=(image.shape[-2], image.shape[-1]), pixels=pixels, fingerprint=shown)


def _origin(dataset: SegmentationDataset, index: int) -> tuple[SegmentationDataset, Path, Path | None]:
    """The data set whose files a sample comes from, and these."""
    if isinstance(dataset, Selection):
        return _origin(*dataset.items[index])
    owner = dataset.source if isinstance(dataset, Prepared) else dataset
    image, mask = owner.samples[index] if owner.samples else (owner.path(index), None)
    return owner, image, mask


def _fits(mask: Path, image: Path) -> bool:
    """Whether a mask has the size of its image, as stored: else its values are not what is wrong with it."""
    size = size_of(image)
    return size_of(mask) in (size, size[::-1])


def _add(sightings: dict[Any, Sighting], key: object, mask: Path, pixels: int) -> None:
    masks, before = sightings.get(key, Sighting([], 0))
    masks.append(mask)
    sightings[key] = Sighting(masks, before + pixels)


def _pairs(sparse: dict[tuple[int, ...], Sighting]) -> dict[tuple[int, int], Sighting]:
    """Masks by two values that are no neighbours; those with one of them alone belong to every pair of it."""
    pairs = {}
    for key, found in sparse.items():
        if len(key) == 2 and key[1] - key[0] > 1:
            alone = [sparse[(value,)] for value in key if (value,) in sparse]
            masks = [mask for sighting in (found, *alone) for mask in sighting.masks]
            pairs[key[0], key[1]] = Sighting(masks, found.pixels + sum(sighting.pixels for sighting in alone))
    return pairs
