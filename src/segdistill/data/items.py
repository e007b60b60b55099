"""What a loader's workers do: samples read and augmented by position, and how positions are shared out."""

import signal
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch.utils.data import Dataset, Sampler, default_collate

from segdistill.data.base import SegmentationDataset
from segdistill.data.deep import to_unit
from segdistill.data.transforms import TrainTransform, resize, resize_image
from segdistill.types import Batch
from segdistill.util import DataError, seed_of


class Item(NamedTuple):
    """What comes out of a worker. Errors travel as values: raised there, they would lose their type."""

    batch: Batch | None
    faults: list[DataError]


class TrainItems(Dataset[Item]):
    """Item ``position`` of the endless training stream: a sample, augmented."""

    def __init__(
        self, dataset: SegmentationDataset, transform: TrainTransform, seed: int, scale: float, tries: int
    ) -> None:
        self.dataset, self.transform = dataset, transform
        self.seed, self.scale, self.tries = seed, scale, min(tries, len(dataset))
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def __getitem__(self, position: int) -> Item:
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
            # Train ids stay a byte a pixel on the way out of a worker: eight would fill the 64 MB of shared memory that
            # a container has with one batch. `to_device` widens them.
            return Item(Batch(image.as_subclass(torch.Tensor), mask.as_subclass(torch.Tensor)), faults)
        return Item(None, faults)


class EvalItems(Dataset[Item]):
    """Item ``index``: a sample whose image is resized, and whose target is not."""

    def __init__(self, dataset: SegmentationDataset, scale: float) -> None:
        self.dataset, self.scale = dataset, scale

    def __getitem__(self, index: int) -> Item:
        try:
            image, mask = self.dataset.load(index)
        except DataError as error:
            return Item(None, [error])
        image = resize_image(image, self.scale)
        return Item(Batch(image.as_subclass(torch.Tensor), mask.as_subclass(torch.Tensor).long()), [])


class Positions(Sampler[list[int]]):
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


def collate(items: list[Item]) -> Item:
    """Stack the samples, if none is lacking; all their faults."""
    batches = [item.batch for item in items if item.batch is not None]
    if len({batch.image.dtype for batch in batches}) > 1:  # files of 8 bits among deep ones
        batches = [batch._replace(image=to_unit(batch.image)) for batch in batches]
    faults = [fault for item in items for fault in item.faults]
    return Item(default_collate(batches) if len(batches) == len(items) else None, faults)


def prepare_worker(worker: int) -> None:
    """Leave the other cores, and Ctrl-C, to others."""
    torch.set_num_threads(1)
    # Ctrl-C reaches the whole process group; the main process decides, and its exit ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _generator(*key: int | str) -> torch.Generator:
    return torch.Generator().manual_seed(seed_of(*key))
