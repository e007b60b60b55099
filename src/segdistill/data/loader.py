"""Batches in an order that seed and step alone decide; damaged files are replaced, named and bounded."""

import logging
from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import DataLoader

from segdistill.data.base import SegmentationDataset
from segdistill.data.items import EvalItems, Item, Positions, TrainItems, collate, prepare_worker
from segdistill.data.transforms import train_transform
from segdistill.types import Batch
from segdistill.util import ArgumentError, DataError, shorten

_log = logging.getLogger(__name__)


class TrainLoader:
    """Iterates over micro-batches of one process; see ``train_loader``.

    Attributes:
        faults: Reason by file, for the damaged files met so far in this process.
    """

    def __init__(
        self, items: DataLoader[Item], dataset: SegmentationDataset, max_faults: int, num_batches: int
    ) -> None:
        self._items, self._dataset = items, dataset
        self._max_faults, self._num_batches = max_faults, num_batches
        self.faults: dict[str, str] = {}

    def __len__(self) -> int:
        return self._num_batches

    def __iter__(self) -> Iterator[Batch]:
        for item in self._items:
            for fault in item.faults:
                self._count(fault)
            if item.batch is None:
                raise self._too_many()
            yield item.batch

    def _count(self, fault: DataError) -> None:
        if str(fault.path) in self.faults:
            return
        self.faults[str(fault.path)] = str(fault)
        _log.warning("Replaced a faulty sample (%d of at most %d): %s", len(self.faults), self._max_faults, fault)
        if len(self.faults) > self._max_faults:
            raise self._too_many()

    def _too_many(self) -> DataError:
        return DataError(
            self._dataset.root,
            f"has too many faulty files, {len(self.faults)} (`max_faults` is {self._max_faults}): "
            f"{shorten(self.faults.values())}",
            "Find all of them with `segdistill check`.",
        )


class EvalLoader:
    """Iterates over single images of one process, in order; see ``eval_loader``."""

    def __init__(self, items: DataLoader[Item], num_images: int) -> None:
        self._items, self._num_images = items, num_images

    def __len__(self) -> int:
        return self._num_images

    def __iter__(self) -> Iterator[Batch]:
        for item in self._items:
            if item.batch is None:
                raise item.faults[0]
            yield item.batch


def train_loader(
    dataset: SegmentationDataset,
    *,
    crop_size: tuple[int, int],
    batch_size: int,
    seed: int,
    num_steps: int,
    fill: Sequence[float],
    start_step: int = 0,
    num_workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
    accumulate: int = 1,
    image_scale: float = 1.0,
    scale_range: tuple[float, float] = (0.5, 2.0),
    scale_step: float = 0.1,
    flip: float = 0.5,
    max_faults: int = 10,
    pin_memory: bool = False,
) -> TrainLoader:
    """Build the stream of augmented training batches.

    What comes at global position ``step * batch_size + i`` depends on ``seed`` and that position alone: the
    sample is the one that a permutation of its epoch puts there, the augmentation is drawn from a generator
    seeded by it. Workers, processes and the step where the stream starts change nothing.

    Args:
        dataset: The samples; an epoch is a permutation of them.
        crop_size: Height and width in pixels.
        batch_size: Images a step, over all processes and micro-batches.
        seed: Decides order and augmentation.
        num_steps: Steps of the whole run; the stream ends there.
        fill: A number for each channel of padded pixels, 0 to 255.
        start_step: First step, 0 to ``num_steps``: where a resumed run goes on.
        num_workers: Processes that load; 0 loads in this one.
        rank: This process's number among ``world_size``.
        world_size: Number of processes that train together.
        accumulate: Micro-batches a step; each has ``batch_size / (world_size * accumulate)`` images.
        image_scale: Resizes images and masks before the augmentation: 0.5 trains at half resolution.
        scale_range: Smallest and largest scale of the augmentation.
        scale_step: Distance of the scales between them.
        flip: Probability of a horizontal flip.
        max_faults: Damaged samples are replaced by the ones that follow them, with a warning; more than so
            many distinct files in this process stop the run.
        pin_memory: Put batches in page-locked memory, for a CUDA device.

    Returns:
        An iterable of ``Batch``: image (b, c, h, w), uint8 or float from 0 to 1, and target (b, h, w) uint8,
        ``accumulate`` a step. Its iteration raises ``DataError`` that lists the files once there are too many faulty
        ones.

    Raises:
        ValueError: If numbers are out of range or ``batch_size`` cannot be shared out.
    """
    _check(dataset, num_workers, rank, world_size, image_scale)
    if accumulate < 1 or batch_size < 1 or batch_size % (world_size * accumulate):
        raise ArgumentError(
            "`batch_size` must be a positive multiple of `world_size` * `accumulate`; "
            f"got {batch_size} and {world_size} * {accumulate}."
        )
    if not 0 <= start_step <= num_steps:
        raise ArgumentError(f"`start_step` must be from 0 to `num_steps` {num_steps}; got {start_step}.")
    if max_faults < 0:
        raise ArgumentError(f"`max_faults` must not be negative; got {max_faults}.")
    transform = train_transform(crop_size, fill=fill, scale_range=scale_range, scale_step=scale_step, flip=flip)
    size = batch_size // (world_size * accumulate)
    positions = Positions(range(start_step, num_steps), batch_size, size, rank, world_size)
    items = DataLoader(
        TrainItems(dataset, transform, seed, image_scale, max_faults + 1),
        batch_sampler=positions,
        num_workers=num_workers,
        collate_fn=collate,
        worker_init_fn=prepare_worker,
        # Its own generator: the loader must not draw from the global one, which a resumed run restores.
        generator=torch.Generator(),
        pin_memory=pin_memory,
    )
    return TrainLoader(items, dataset, max_faults, len(positions))


def eval_loader(
    dataset: SegmentationDataset,
    *,
    num_workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
    image_scale: float = 1.0,
) -> EvalLoader:
    """Build the stream of whole images for evaluation, one a batch, each image once over all processes.

    Args:
        dataset: The samples; process ``rank`` takes every ``world_size``-th from ``rank`` on.
        num_workers: Processes that load; 0 loads in this one.
        rank: This process's number among ``world_size``.
        world_size: Number of processes that evaluate together.
        image_scale: Resizes the image; the target keeps its native size.

    Returns:
        An iterable of ``Batch``: image (1, c, h, w), uint8 or float from 0 to 1, and target (1, H, W) int64. Its
        iteration raises the ``DataError`` of a faulty sample: a score must not skip an image.

    Raises:
        ValueError: If numbers are out of range.
    """
    _check(dataset, num_workers, rank, world_size, image_scale)
    indices = range(rank, len(dataset), world_size)
    items = DataLoader(
        EvalItems(dataset, image_scale),
        batch_sampler=[[index] for index in indices],
        num_workers=num_workers,
        collate_fn=collate,
        worker_init_fn=prepare_worker,
        generator=torch.Generator(),
    )
    return EvalLoader(items, len(indices))


def _check(dataset: SegmentationDataset, num_workers: int, rank: int, world_size: int, image_scale: float) -> None:
    if len(dataset) == 0:
        raise ArgumentError("`dataset` must have samples; got none.")
    if num_workers < 0:
        raise ArgumentError(f"`num_workers` must not be negative; got {num_workers}.")
    if not 0 <= rank < world_size:
        raise ArgumentError(f"`rank` must be from 0 to `world_size` - 1; got {rank} of {world_size}.")
    if image_scale <= 0:
        raise ArgumentError(f"`image_scale` must be positive; got {image_scale}.")
