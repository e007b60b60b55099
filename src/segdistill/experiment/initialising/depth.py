"""Images with more than 8 bits or three channels: how many channels to read, and how a network is fed with them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from segdistill.data import ChannelStatistics, SegmentationDataset, channel_statistics, channels_of, evenly

_MEASURED = 64


class Depth(NamedTuple):
    """What a recipe says of deep images.

    Attributes:
        channels: To read.
        bits: Of a channel.
        statistics: Of a sample of the training images.
    """

    channels: int
    bits: int
    statistics: ChannelStatistics


def find_depth(images: Sequence[Path], dataset: SegmentationDataset, workers: int) -> Depth | None:
    """What is deep about images; None for ordinary ones. The header of the first tells.

    Args:
        images: Of the training split.
        dataset: Reads them; told how many channels to give.
        workers: Threads.
    """
    channels, bits = channels_of(images[0])
    if channels == 3 and bits <= 8:
        return None
    dataset.channels = channels
    return Depth(channels, bits, channel_statistics(evenly(dataset, _MEASURED), num_workers=workers))
