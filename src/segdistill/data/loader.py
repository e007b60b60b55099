"""Batches in an order that seed and step alone decide; damaged files are replaced, named and bounded."""

import logging
import signal
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from segdistill.data.base import SegmentationDataset
from segdistill.data.transforms import TrainTransform, resize, resize_image, train_transform
from segdistill.types import Batch
from segdistill.util import ArgumentError, DataError, seed_of, shorten

_log = logging.getLogger(__name__)


class _Item(NamedTuple):
    """What comes out of a worker. Errors travel as values: raised there, they would lose their type."""

    batch: Batch | None
    faults: list[DataError]


class _TrainItems(Dataset[_Item]):
    """Item ``position`` of the endless training stream: a sample, augmented."""

    def __init__(
        self, dataset: SegmentationDataset, transform: TrainTransform, seed: int, scale: float, tries: int
    ) -> None:
        self.dataset, self.transform = dataset, transform
        self.seed, self.scale, self.tries = seed, scale, min(tries, len(dataset))
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def __getitem__(self, position: int) -> _Item:
        epoch, place = divmod(position, len(self.dataset))
        if epoch != self._epoch:
            generator = _generator("order", self.seed, epoch)
            self._epoch, self._order = epoch, torch.randperm(len(self.dataset), generator=generator)
        faults: list[DataError] = []
        for attempt in range(self.tries):
            # A faulty sample's substitute is the one after it, so that each further try is a further file.
            index = int(self._order[(place + attempt) % len(self.dataset)])
            try:
                image, mask = self.dataset.load(index)
            except DataError as error:
                faults.append(error)
                continue
            generator = _generator("augment", self.seed, position)
            image, mask = self.transform(*resize(image, mask, self.scale), generator)
            return _Item(Batch(image.as_subclass(torch.Tensor), mask.as_subclass(torch.Tensor).long()), faults)
        return _Item(None, faults)


class _EvalItems(Dataset[_Item]):
    """Item ``index``: a sample whose image is resized, and whose target is not."""

    def __init__(self, dataset: SegmentationDataset, scale: float) -> None:
        self.dataset, self.scale = dataset, scale

    def __getitem__(self, index: int) -> _Item:
        try:
            image, mask = self.dataset.load(index)
        except DataError as error:
            return _Item(None, [error])
        image = resize_image(image, self.scale)
        return _Item(Batch(image.as_subclass(torch.Tensor), mask.as_subclass(torch.Tensor).long()), [])


class _Positions(Sampler[list[int]]):
    """Global positions of each micro-batch of ``size`` images of one process."""

    def __init__(self, steps: range, batch_size: int, size: int, rank: int, world_size: int) -> None:
        self.steps, self.batch_size, self.size = steps, batch_size, size
        self.starts = range(rank * size, batch_size, world_size * size)

    def __len__(self) -> int:
        return len(self.steps) * len(self.starts)

    def __iter__(self) -> Iterator[list[int]]:
        for step in self.steps:
            for start in self.starts:
                first = step * self.batch_size + start
                yield list(range(first, first + self.size))


class TrainLoader:
    """Iterates over micro-batches of one process; see ``train_loader``.

    Attributes:
        faults: Reason by file, for the damaged files met so far in this process.
    """

    def __init__(
        self, items: DataLoader[_Item], dataset: SegmentationDataset, max_faults: int, num_batches: int
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

    def __init__(self, items: DataLoader[_Item], num_images: int) -> None:
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
        fill: Red, green and blue of padded pixels, 0 to 255.
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
        An iterable of ``Batch``: image (b, 3, h, w) uint8 and target (b, h, w) int64, ``accumulate`` a step.
        Its iteration raises ``DataError`` that lists the files once there are too many faulty ones.

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
    positions = _Positions(range(start_step, num_steps), batch_size, size, rank, world_size)
    items = DataLoader(
        _TrainItems(dataset, transform, seed, image_scale, max_faults + 1),
        batch_sampler=positions,
        num_workers=num_workers,
        collate_fn=_collate,
        worker_init_fn=_prepare_worker,
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
        An iterable of ``Batch``: image (1, 3, h, w) uint8 and target (1, H, W) int64. Its iteration raises
        the ``DataError`` of a faulty sample: a score must not skip an image.

    Raises:
        ValueError: If numbers are out of range.
    """
    _check(dataset, num_workers, rank, world_size, image_scale)
    indices = range(rank, len(dataset), world_size)
    items = DataLoader(
        _EvalItems(dataset, image_scale),
        batch_sampler=[[index] for index in indices],
        num_workers=num_workers,
        collate_fn=_collate,
        worker_init_fn=_prepare_worker,
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


def _collate(items: list[_Item]) -> _Item:
    batches = [item.batch for item in items if item.batch is not None]
    faults = [fault for item in items for fault in item.faults]
    return _Item(default_collate(batches) if len(batches) == len(items) else None, faults)


def _prepare_worker(worker: int) -> None:
    torch.set_num_threads(1)
    # Ctrl-C reaches the whole process group; the main process decides, and its exit ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _generator(*key: int | str) -> torch.Generator:
    return torch.Generator().manual_seed(seed_of(*key))
