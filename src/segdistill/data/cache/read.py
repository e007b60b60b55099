"""A prepared cache: every sample decoded once and stored raw, so that a crop reads only the rows it needs.

``folder/<data set>-<split>/`` holds ``index.json``, and ``000000.image.npy`` (H, W, C) and ``000000.mask.npy`` (H, W)
of every sample, uint8, at native size; images of 16 bits are uint16, masks hold train ids. The index says what the
samples were made of: data set, options, split, class table, and name, size and time of every file. It is compared,
never followed: the names of the stored files come from positions.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision import tv_tensors

from segdistill.data.base import SegmentationDataset
from segdistill.data.deep import as_pixels
from segdistill.util import ArgumentError, DataError

INDEX: Final = "index.json"
FORMAT: Final = 1
"""Raised whenever an older cache must not be read."""

_AGAIN = "Run `segdistill prepare` with this recipe, or leave `data.cache` out."


class Source(NamedTuple):
    """A split to prepare.

    Attributes:
        name: Of the data set in ``DATASETS``.
        options: That it was built with.
        dataset: Reads the files.
    """

    name: str
    options: Mapping[str, Any]
    dataset: SegmentationDataset

    @property
    def title(self) -> str:
        """Data set and split; also the name of the folder in the cache."""
        return f"{self.name}-{self.dataset.split}"


class Prepared(SegmentationDataset):
    """A data set that is read from its prepared cache; samples and order are the source's.

    Tensors are views of the stored files: what is not looked at is not read. A sample that could not be decoded when
    the cache was made is asked of the source again, which says why.

    Args:
        source: What the cache must have been made of.
        folder: Where ``prepare`` wrote it.

    Raises:
        DataError: If the cache is missing, unfinished, damaged, or made of anything else.
        ValueError: If the data set has no files.
    """

    def __init__(self, source: Source, folder: Path | str) -> None:
        dataset = source.dataset
        super().__init__(
            dataset.root, dataset.split, labels=dataset.labels, samples=dataset.samples, unpaired=dataset.unpaired
        )
        self.groups, self.channels = dataset.groups, dataset.channels
        self.source, self.folder = dataset, Path(folder) / source.title
        self._faulty = _checked_faults(self.folder, describe(source), dataset)

    def load(self, index: int) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
        """Map one stored sample into memory; see `SegmentationDataset.load`."""
        if index in self._faulty:
            return self.source.load(index)
        image_path, mask_path = stored_files(self.folder, index)
        image, mask = _map(image_path, np.uint8, np.uint16), _map(mask_path, np.uint8)
        if image.ndim != 3 or image.shape[2] != self.channels or mask.shape != image.shape[:2] or not image.size:
            raise DataError(image_path, f"and its mask do not fit, with shapes {image.shape} and {mask.shape}", _AGAIN)
        return tv_tensors.Image(as_pixels(image).permute(2, 0, 1)), tv_tensors.Mask(torch.from_numpy(mask))


def describe(source: Source) -> dict[str, Any]:
    """The index that a cache of these files has, without its list of faulty samples."""
    dataset = source.dataset
    if not dataset.samples:
        raise ArgumentError(f"`data.cache` must be of a data set with files; `{source.name}` has none. Leave it out.")
    if Path(source.title).name != source.title:
        raise ArgumentError(f"`split` must be a plain name to be prepared; got {dataset.split!r}.")
    classes = json.dumps(dataset.labels.to_json()["labels"])
    described = {
        "format": FORMAT,
        "dataset": source.name,
        "options": source.options if dataset.channels == 3 else {**source.options, "channels": dataset.channels},
        "split": dataset.split,
        "classes": hashlib.sha256(classes.encode()).hexdigest(),
        "samples": [[_stamp(path, dataset.root) for path in sample] for sample in dataset.samples],
    }
    known: dict[str, Any] = json.loads(json.dumps(described))  # as it comes back from the file
    return known


def _stamp(path: Path | None, root: Path) -> list[str | int] | None:
    """Name, bytes and nanoseconds of a file; -1 where there is none."""
    if path is None:
        return None
    name = (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
    try:
        state = path.stat()
    except OSError:
        return [name, -1, -1]
    return [name, state.st_size, state.st_mtime_ns]


def _checked_faults(folder: Path, wanted: dict[str, Any], dataset: SegmentationDataset) -> frozenset[int]:
    """Samples that were faulty, once the cache at ``folder`` is known to be whole and made of ``wanted``."""
    found = read_index(folder)
    for key, word in (("format", "format"), ("dataset", "data set"), ("split", "split"), ("options", "options")):
        if found.get(key) != wanted[key]:
            held = str(found.get(key))[:80]
            raise DataError(folder, f"was prepared with the {word} {held}; the recipe needs {wanted[key]}", _AGAIN)
    if found.get("classes") != wanted["classes"]:
        raise DataError(folder, "was prepared with another class table than the recipe's", _AGAIN)
    before, now = found.get("samples"), wanted["samples"]
    if not isinstance(before, list) or len(before) != len(now):
        count = len(before) if isinstance(before, list) else "no"
        raise DataError(folder, f"was prepared with {count} samples; the split has {len(now)}", _AGAIN)
    for held, needed, (image, _) in zip(before, now, dataset.samples, strict=True):
        if held != needed:
            raise DataError(image, f"or its mask is not what `{folder}` was prepared from", _AGAIN)
    faulty = found.get("faulty")
    if not isinstance(faulty, list) or not all(type(index) is int for index in faulty):
        raise DataError(folder, "is not finished", "Run `segdistill prepare` again: it goes on where it stopped.")
    lost = set(range(len(now))) - stored(folder) - set(faulty)
    if lost:
        raise DataError(folder, f"has lost {stored_files(folder, min(lost))[0].name} or its mask", _AGAIN)
    return frozenset(faulty)


def read_index(folder: Path) -> dict[str, Any]:
    """The index of a split, of which nothing is known but that it is a dictionary.

    Raises:
        DataError: If there is none.
    """
    path = folder / INDEX
    try:
        index = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(folder, "holds no prepared data", _AGAIN) from None
    except (OSError, ValueError, RecursionError):
        index = None
    if not isinstance(index, dict):
        raise DataError(path, "is not the index of prepared data", "Remove it, and run `segdistill prepare` again.")
    return index


def stored_files(folder: Path, index: int) -> tuple[Path, Path]:
    """Stored image and mask of a sample."""
    return folder / f"{index:06d}.image.npy", folder / f"{index:06d}.mask.npy"


def stored(folder: Path) -> set[int]:
    """Positions of which both files are there."""
    names = {path.name for path in folder.iterdir()}
    images = (name.removesuffix(".image.npy") for name in names if name.endswith(".image.npy"))
    return {int(number) for number in images if number.isdecimal() and f"{number}.mask.npy" in names}


def _map(path: Path, *types: type[np.generic]) -> NDArray[Any]:
    try:
        # Copy on write: torch warns of arrays that it could not write to, and no file is ever changed.
        values = np.lib.format.open_memmap(path, mode="c")
    except Exception as error:  # whatever the parser of a damaged header raises
        raise DataError(path, f"cannot be read ({error})", _AGAIN) from None
    if values.dtype not in types:
        raise DataError(
            path, f"must hold {' or '.join(kind.__name__ for kind in types)}; it holds {values.dtype}", _AGAIN
        )
    return values.view(np.ndarray)
