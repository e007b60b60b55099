"""How fast one core loads training crops from PNG files, stage by stage.

    OMP_NUM_THREADS=1 python -m benchmarks.loader --out benchmarks/results/loader_cpu.json

Three ways that give the same crops, which is checked first: ``whole`` resizes the whole image and then crops (the plain
way, kept here as the reference), ``window`` is the package's, ``cached`` is the package's on a prepared cache. They
are measured in turn, so that what else the machine does meets all alike; times are medians over the turns. The images
are drawn streets, enlarged, with as much noise as makes a PNG as large as one of Cityscapes, about 2.3 MB. The files
are in the memory of the operating system: what a disk adds is not measured.
"""

import argparse
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.utils.data import default_collate
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as tvf

from benchmarks.harness import environment
from segdistill.data import (
    STREETS_LABELS,
    Folder,
    Prepared,
    SegmentationDataset,
    Source,
    Streets,
    TrainTransform,
    prepare,
    read_image,
    read_mask,
    train_loader,
    train_transform,
)
from segdistill.data.transforms import Pair, resize
from segdistill.types import IGNORE_INDEX

FILL = (124.0, 117.0, 104.0)
NOISE = 0.55  # grey levels, which with scenes a fifth as wide gives PNGs of 2.3 MB
BATCH = 4

Seconds = dict[str, float]


def write_data(root: Path, count: int, size: tuple[int, int]) -> Source:
    """Photograph-like images and masks in the layout of ``folder``."""
    height, width = size
    scenes = Streets(size=(max(32, height // 5), max(32, width // 5)), num_images=count)
    for kind in ("images", "masks"):
        (root / "train" / kind).mkdir(parents=True)
    for index in range(count):
        image, mask = (each.numpy() for each in scenes.load(index))
        large = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).resize((width, height), Image.BICUBIC)
        grain = np.random.default_rng(index).normal(0, NOISE, (height, width, 3))
        pixels = np.clip(np.asarray(large) + grain, 0, 255).round().astype(np.uint8)
        Image.fromarray(pixels).save(root / f"train/images/{index}.png")
        Image.fromarray(mask).resize((width, height), Image.NEAREST).save(root / f"train/masks/{index}.png")
    options = {"classes": list(STREETS_LABELS.names)}
    return Source("folder", options, Folder(root, "train", **options))


def read_whole(path: Path) -> tv_tensors.Image:
    """An image as planes, with the copies that this takes."""
    picture = Image.open(io.BytesIO(path.read_bytes()))
    picture.load()
    upright = ImageOps.exif_transpose(picture).convert("RGB")
    return tv_tensors.Image(torch.from_numpy(np.array(upright)).permute(2, 0, 1).contiguous())


def map_labels(dataset: SegmentationDataset, ids: Any) -> tv_tensors.Mask:
    """Train ids by indexing."""
    known, train_id = np.zeros(256, np.bool_), np.full(256, IGNORE_INDEX, np.uint8)
    for label_id, value in dataset.labels.id_to_train_id.items():
        known[label_id], train_id[label_id] = True, value
    assert known[ids].all()
    return tv_tensors.Mask(torch.from_numpy(train_id[ids]))


def augment_whole(transform: TrainTransform, image: Any, mask: Any, generator: torch.Generator) -> Pair:
    """The augmentation of ``transform``, the whole image resized first."""
    scale = transform.scales[int(torch.randint(len(transform.scales), (), generator=generator))]
    offsets = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
    flipped = float(torch.rand((), generator=generator)) < transform.flip
    image, mask = resize(image, mask, scale)
    height, width = transform.crop_size
    missing = [0, 0, max(0, width - image.shape[-1]), max(0, height - image.shape[-2])]
    if any(missing):
        image, mask = tvf.pad(image, missing, fill=transform.fill), tvf.pad(mask, missing, fill=IGNORE_INDEX)
    top = int(offsets[0] * (image.shape[-2] - height + 1))
    left = int(offsets[1] * (image.shape[-1] - width + 1))
    image, mask = (tvf.crop(each, top, left, height, width) for each in (image, mask))
    return (tvf.horizontal_flip(image), tvf.horizontal_flip(mask)) if flipped else (image, mask)


class Stopwatch:
    """Adds up the seconds of named stages."""

    def __init__(self) -> None:
        self.seconds: Seconds = {}

    def __call__(self, stage: str, work: Callable[[], Any]) -> Any:
        """Do the work, count its time."""
        start = time.perf_counter()
        result = work()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start
        return result


def whole(dataset: SegmentationDataset, index: int, augment: TrainTransform, seed: int, clock: Stopwatch) -> Pair:
    """The plain way."""
    image_path, mask_path = dataset.samples[index]
    image = clock("decode image", lambda: read_whole(image_path))
    ids = clock("decode mask", lambda: read_mask(mask_path))
    mask = clock("map labels", lambda: map_labels(dataset, ids))
    return clock("scale and crop", lambda: augment_whole(augment, image, mask, torch.Generator().manual_seed(seed)))


def window(dataset: SegmentationDataset, index: int, augment: TrainTransform, seed: int, clock: Stopwatch) -> Pair:
    """The package's way, as `SegmentationDataset.load` and `TrainTransform` go it."""
    image_path, mask_path = dataset.samples[index]
    image = clock("decode image", lambda: read_image(image_path))
    ids = clock("decode mask", lambda: dataset.read_ids(mask_path))
    mask = clock("map labels", lambda: tv_tensors.Mask(torch.from_numpy(dataset.to_train_ids(ids, mask_path))))
    return clock("scale and crop", lambda: augment(image, mask, torch.Generator().manual_seed(seed)))


def cached(dataset: SegmentationDataset, index: int, augment: TrainTransform, seed: int, clock: Stopwatch) -> Pair:
    """The package's way on a prepared cache, whose pages are read where the crop needs them."""
    image, mask = clock("map files", lambda: dataset.load(index))
    return clock("scale and crop", lambda: augment(image, mask, torch.Generator().manual_seed(seed)))


def measure(
    source: Source, prepared: Prepared, augment: TrainTransform, turns: int, crops: int
) -> Iterator[tuple[str, Seconds]]:
    """Seconds a crop of every stage, once a turn for each way; the same crops for all in a turn."""
    ways = {"whole": (whole, source.dataset), "window": (window, source.dataset), "cached": (cached, prepared)}
    for turn in range(turns):
        for name, (way, dataset) in ways.items():
            clock = Stopwatch()
            for first in range(turn * crops, (turn + 1) * crops, BATCH):
                seeds = range(first, first + BATCH)
                pairs = [way(dataset, seed % len(dataset), augment, seed, clock) for seed in seeds]
                clock("collate", lambda pairs=pairs: default_collate([_plain(pair) for pair in pairs]))
            yield name, {stage: seconds / crops for stage, seconds in clock.seconds.items()}


def through_worker(dataset: SegmentationDataset, crop: tuple[int, int], crops: int) -> float:
    """Crops a second that arrive from a loader with one worker process, its start left out."""
    batches = iter(
        train_loader(
            dataset, crop_size=crop, batch_size=BATCH, seed=0, num_steps=3 + crops // BATCH, fill=FILL, num_workers=1
        )
    )
    for _ in range(3):  # the first, and what the worker has made meanwhile
        next(batches)
    start = time.perf_counter()
    arrived = sum(len(batch.image) for batch in batches)
    return arrived / (time.perf_counter() - start)


def check_equal(source: Source, prepared: Prepared, augment: TrainTransform, crops: int) -> None:
    """All three ways must give the same bits."""
    for seed in range(crops):
        index, clock = seed % len(prepared), Stopwatch()
        expected = whole(source.dataset, index, augment, seed, clock)
        for way, dataset in ((window, source.dataset), (cached, prepared)):
            found = way(dataset, index, augment, seed, clock)
            assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True)), (way.__name__, seed)


def run(*, images: int, turns: int, crops: int, size: tuple[int, int], crop: tuple[int, int]) -> dict[str, Any]:
    """Write the data, check, measure, and summarise."""
    augment = train_transform(crop, fill=FILL)
    with tempfile.TemporaryDirectory() as folder:
        source = write_data(Path(folder) / "data", images, size)
        assert not prepare([source], Path(folder) / "cache")
        prepared = Prepared(source, Path(folder) / "cache")
        check_equal(source, prepared, augment, crops)
        measured: dict[str, list[Seconds]] = {"whole": [], "window": [], "cached": []}
        for name, seconds in measure(source, prepared, augment, turns, crops):
            measured[name].append(seconds)
        arrived: dict[str, list[float]] = {"window": [], "cached": []}
        for _ in range(turns):
            arrived["window"].append(through_worker(source.dataset, crop, crops))
            arrived["cached"].append(through_worker(prepared, crop, 10 * crops))
        png_bytes = [statistics.mean(paths[k].stat().st_size for paths in source.dataset.samples) for k in (0, 1)]
    return {
        "image_size": size, "crop_size": crop, "scales": augment.scales, "batch_size": BATCH,
        "images": images, "turns": turns, "crops_a_turn": crops,
        "png_bytes": {"image": round(png_bytes[0]), "mask": round(png_bytes[1])},
        "ways": {name: _summary(turns_of_way) for name, turns_of_way in measured.items()},
        "crops_per_s_from_one_worker": {name: round(statistics.median(rates), 1) for name, rates in arrived.items()},
    }  # fmt: skip


def _summary(turns: list[Seconds]) -> dict[str, Any]:
    """Medians and quartiles over the turns."""
    milliseconds = {stage: [1000 * turn[stage] for turn in turns] for stage in turns[0]}
    milliseconds["all"] = [1000 * sum(turn.values()) for turn in turns]
    quartiles = {stage: np.percentile(values, [50, 25, 75]).round(3).tolist() for stage, values in milliseconds.items()}
    return {
        "crops_per_s": round(1000 / quartiles["all"][0], 2),
        "ms_a_crop": {stage: dict(zip(("median", "q25", "q75"), q, strict=True)) for stage, q in quartiles.items()},
    }


def _plain(pair: Pair) -> tuple[torch.Tensor, torch.Tensor]:
    return pair[0].as_subclass(torch.Tensor), pair[1].as_subclass(torch.Tensor).long()


def main() -> None:
    """Measure on one thread and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--crops", type=int, default=16, help=f"a turn and way; a multiple of {BATCH}")
    parser.add_argument("--size", type=int, nargs=2, default=(1024, 2048), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--crop", type=int, nargs=2, default=(512, 1024), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--note", default="", help="kept in the file, for example: machine shared")
    given = parser.parse_args()
    if given.crops % BATCH:
        parser.error(f"--crops must be a multiple of {BATCH}; got {given.crops}.")
    torch.set_num_threads(1)
    found = run(
        images=given.images, turns=given.turns, crops=given.crops, size=tuple(given.size), crop=tuple(given.crop)
    )
    libraries = {name: version(name) for name in ("torchvision", "pillow", "numpy")}
    record = {"benchmark": "loader", "note": given.note, **environment(torch.device("cpu")), **libraries, **found}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(record, indent=1) + "\n")
    for name, way in found["ways"].items():
        stages = ", ".join(f"{stage} {ms['median']:.1f}" for stage, ms in way["ms_a_crop"].items())
        print(f"{name:7} {way['crops_per_s']:7.1f} crops/s; ms a crop: {stages}")
    print("from one worker, crops/s:", found["crops_per_s_from_one_worker"])


if __name__ == "__main__":
    main()
