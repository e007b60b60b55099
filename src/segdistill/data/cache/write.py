"""Writing a prepared cache; ``read.py`` says what it holds and reads it."""

import io
import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from segdistill.data.base import SegmentationDataset
from segdistill.data.cache.read import INDEX, Source, describe, read_index, stored, stored_files
from segdistill.data.deep import as_samples
from segdistill.data.headers import depth_of
from segdistill.data.pictures import size_of
from segdistill.data.scan import Fault
from segdistill.util import DataError, lock, write_atomic


def prepare(
    sources: Sequence[Source],
    folder: Path | str,
    *,
    num_workers: int = 0,
    announce: Callable[[int, int], None] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Fault]:
    """Write or complete a cache. Samples that it has of unchanged files stay; others of its splits go.

    Args:
        sources: The splits.
        folder: Of the cache; created if need be.
        num_workers: Threads; 0 counts as 1.
        announce: Called before writing with the bytes to write and the bytes that are free.
        progress: Called after every sample with the split's title, samples done and samples to do.

    Returns:
        What is wrong with samples that could not be stored, as ``scan`` finds it.

    Raises:
        DataError: If the disk has not enough room, another process writes there, or a folder holds something else.
        ValueError: If a data set has no files.
    """
    folder = Path(folder)
    with lock(folder, wait=False) as mine:
        if not mine:
            raise DataError(folder, "is being prepared by another process", "Wait until it is done.")
        plans = [_plan(source, folder) for source in sources]
        needed = sum(map(_missing_bytes, plans))
        free = shutil.disk_usage(folder).free
        if announce is not None:
            announce(needed, free)
        if needed > free:
            raise DataError(
                folder,
                f"must have {needed / 1e9:.1f} GB free to be prepared; it has {free / 1e9:.1f} GB",
                "Make room, or choose another folder.",
            )
        return [fault for plan in plans for fault in _write(plan, max(1, num_workers), progress)]


class _Plan(NamedTuple):
    """What is to be done for a split."""

    source: Source
    folder: Path
    described: dict[str, Any]
    missing: list[int]


def _plan(source: Source, folder: Path) -> _Plan:
    described, place = describe(source), folder / source.title
    samples = described["samples"]
    found: dict[str, Any] = {}
    if (place / INDEX).exists():
        found = read_index(place)
    elif place.is_dir() and any(not path.name.startswith(".") for path in place.iterdir()):
        raise DataError(place, "holds files, but no index of prepared data", "Remove it, or choose another folder.")
    kept: set[int] = set()
    before = found.get("samples")
    if isinstance(before, list) and all(found.get(key) == described[key] for key in described.keys() - {"samples"}):
        unchanged = (index for index, (old, new) in enumerate(zip(before, samples, strict=False)) if old == new)
        kept = stored(place).intersection(unchanged)
    return _Plan(source, place, described, [index for index in range(len(samples)) if index not in kept])


def _write(plan: _Plan, num_workers: int, progress: Callable[[str, int, int], None] | None) -> list[Fault]:
    dataset, missing = plan.source.dataset, plan.missing
    kept = {
        path.name for index in {*range(len(dataset))}.difference(missing) for path in stored_files(plan.folder, index)
    }
    plan.folder.mkdir(parents=True, exist_ok=True)
    for path in plan.folder.glob("*.npy"):  # before the new index, which would vouch for them
        if path.name not in kept:
            path.unlink()
    write_atomic(plan.folder / INDEX, _encode(plan.described | {"faulty": None}))
    faults: dict[int, Fault] = {}
    pool = ThreadPoolExecutor(num_workers)
    try:
        results = pool.map(lambda index: _store(dataset, index, plan.folder), missing)
        for done, (index, fault) in enumerate(zip(missing, results, strict=True), start=1):
            if fault is not None:
                faults[index] = fault
            if progress is not None:
                progress(plan.source.title, done, len(missing))
    finally:  # a stop must not wait for what has not begun
        pool.shutdown(cancel_futures=True)
    write_atomic(plan.folder / INDEX, _encode(plan.described | {"faulty": list(faults)}))
    return list(faults.values())


def _store(dataset: SegmentationDataset, index: int, folder: Path) -> Fault | None:
    try:
        image, mask = dataset.load(index)
    except DataError as error:
        return Fault.of(error)
    stored_as = as_samples(image.permute(1, 2, 0)), mask.numpy()
    for path, values in zip(stored_files(folder, index), stored_as, strict=True):
        content = io.BytesIO()
        np.lib.format.write_array(content, np.ascontiguousarray(values), allow_pickle=False)
        write_atomic(path, content.getvalue())
    return None


def _missing_bytes(plan: _Plan) -> int:
    """Disk space of the samples to store, from the headers of their images; those that cannot be read need none.

    The first image says how many bits a channel has.
    """
    if not plan.missing:
        return 0
    dataset = plan.source.dataset
    try:
        bits = depth_of(dataset.path(plan.missing[0]).read_bytes())[0]
    except OSError:
        bits = 8
    a_pixel = dataset.channels * (2 if bits > 8 else 1) + 1
    sizes = [size_of(dataset.path(index)) for index in plan.missing]
    return sum(a_pixel * height * width + 2 * 4096 for height, width in sizes if height)  # two headers and last blocks


def _encode(index: dict[str, Any]) -> bytes:
    return json.dumps(index, separators=(",", ":")).encode()
