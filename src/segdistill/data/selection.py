"""Samples picked from data sets, as a data set: a part of one, or several together."""

from collections.abc import Sequence
from pathlib import Path

from torchvision import tv_tensors

from segdistill.data.base import SegmentationDataset
from segdistill.util import ArgumentError


class Selection(SegmentationDataset):
    """Samples of other data sets, in a given order.

    Args:
        items: Data set and index of every sample; class table, split and root are those of the first.

    Raises:
        ValueError: If there is no item.
    """

    def __init__(self, items: Sequence[tuple[SegmentationDataset, int]]) -> None:
        if not items:
            raise ArgumentError("`items` must have a sample; got none.")
        first = items[0][0]
        super().__init__(first.root, first.split, labels=first.labels, samples=())
        self.channels = first.channels
        self.items = list(items)

    def __len__(self) -> int:
        return len(self.items)

    def path(self, index: int) -> Path:
        """The image file of sample ``index``."""
        dataset, position = self.items[index]
        return dataset.path(position)

    def load(self, index: int) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
        """Decode one sample; see `SegmentationDataset.load`."""
        dataset, position = self.items[index]
        return dataset.load(position)


def together(*datasets: SegmentationDataset) -> Selection:
    """All samples of several data sets; train ids must mean the same, or be ignored."""
    return Selection([(dataset, index) for dataset in datasets for index in range(len(dataset))])


def divided(dataset: SegmentationDataset) -> list[SegmentationDataset]:
    """What `together` joined, apart again; any other data set as it is."""
    if not isinstance(dataset, Selection):
        return [dataset]
    parts: dict[int, list[tuple[SegmentationDataset, int]]] = {}
    for item in dataset.items:
        parts.setdefault(id(item[0]), []).append(item)
    return [Selection(items) for items in parts.values()]


def evenly(dataset: SegmentationDataset, count: int) -> Selection:
    """At most ``count`` samples at even distances, for pictures."""
    return Selection([(dataset, index) for index in spread(len(dataset), count)])


def spread(length: int, count: int) -> list[int]:
    """At most ``count`` indices below ``length`` at even distances.

    >>> spread(10, 4)
    [0, 2, 5, 7]
    """
    count = min(count, length)
    return [index * length // count for index in range(count)]
