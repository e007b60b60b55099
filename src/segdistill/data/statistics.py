"""Mean and standard deviation of the channels of a data set: what a network that starts at random is fed with."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

from segdistill.data.base import SegmentationDataset
from segdistill.util import ArgumentError, DataError


class ChannelStatistics(NamedTuple):
    """Of every channel, over all pixels of all images, in units of an image from 0 to 1.

    Attributes:
        mean: One number a channel.
        std: One number a channel.
        low: Smallest value.
        high: Largest value.
        num_images: How many images were read.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    num_images: int

    @property
    def overrides(self) -> list[str]:
        """The changes of a recipe that feed a network so.

        >>> ChannelStatistics((0.25,), (0.1,), (0.0,), (1.0,), 3).overrides
        ['model.options.mean=[0.25]', 'model.options.std=[0.1]']
        """
        return [
            f"model.options.{name}=[{','.join(f'{value:.4g}' for value in values)}]"
            for name, values in (("mean", self.mean), ("std", self.std))
        ]


def channel_statistics(
    dataset: SegmentationDataset, *, num_workers: int = 0, progress: Callable[[int, int], None] | None = None
) -> ChannelStatistics:
    """Measure the channels of every image that can be read.

    Args:
        dataset: The split to read.
        num_workers: Threads; 0 counts as 1.
        progress: Called after every sample with the number done and the total.

    Raises:
        ArgumentError: If no image can be read.
    """
    total = len(dataset)
    count, found = 0, 0
    sums = squares = torch.zeros(dataset.channels, dtype=torch.float64)
    low, high = torch.full_like(sums, torch.inf), torch.full_like(sums, -torch.inf)
    with ThreadPoolExecutor(max(1, num_workers)) as pool:
        for done, moments in enumerate(pool.map(lambda index: _moments(dataset, index), range(total)), start=1):
            if moments is not None:
                pixels, added, square, smallest, largest = moments
                count, found = count + pixels, found + 1
                sums, squares = sums + added, squares + square
                low, high = torch.minimum(low, smallest), torch.maximum(high, largest)
            if progress is not None:
                progress(done, total)
    if not count:
        raise ArgumentError(f"`dataset` must have an image that can be read; none of {total} of {dataset.split} can.")
    mean = sums / count
    # A channel that is constant, such as an empty band, must not divide by zero.
    std = (squares / count - mean.square()).clamp_min(0).sqrt()
    std = torch.where(std > 1e-6, std, 1.0)
    mean_, std_, low_, high_ = (tuple(values.tolist()) for values in (mean, std, low, high))
    return ChannelStatistics(mean_, std_, low_, high_, found)


def _moments(dataset: SegmentationDataset, index: int) -> tuple[int, Tensor, Tensor, Tensor, Tensor] | None:
    """Pixels, sums, sums of squares, smallest and largest values of one image; None if it cannot be read."""
    try:
        image = dataset.load(index)[0].as_subclass(Tensor)
    except DataError:
        return None
    values = image.flatten(1).to(torch.float64)
    if image.dtype == torch.uint8:
        values = values / 255
    return values.shape[1], values.sum(1), values.square().sum(1), values.amin(1), values.amax(1)
