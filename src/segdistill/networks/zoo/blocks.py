"""The layers that the heads share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segdistill.networks.zoo.backbones import Stage


class Head(nn.Module, ABC):
    """What turns the maps of a backbone into the map that the classifier reads.

    Attributes:
        output_stride: Of the backbone's deepest map, as the head was published with; what a network has by default.
        out_channels: Width of the map that ``forward`` returns.
        out_stride: Its stride, in image pixels a cell.
    """

    output_stride: ClassVar[int] = 8
    out_channels: int
    out_stride: int

    @classmethod
    @abstractmethod
    def on(cls, stages: Sequence[Stage]) -> "Head":
        """The head for a backbone of these stages, fine to deep."""

    @abstractmethod
    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """From the backbone's maps, fine to deep, to (B, ``out_channels``, h, w)."""


class PooledBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation of globally pooled maps that also trains with one image.

    One value per channel has no variance, so ``nn.BatchNorm2d`` refuses it in training. Here, and only
    in that case, the running statistics normalise as in evaluation and are left as they are. With two
    images or more, in evaluation, and in the state dict it is ``nn.BatchNorm2d``.

    Source:
        Differs from the authors' code, which fails with one image per process unless the statistics are
        synchronised between processes.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, H, W) maps."""
        if self.training and input.numel() == input.shape[1]:
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(input)


def conv_block(in_channels: int, out_channels: int, kernel_size: int = 1, *, dilation: int = 1) -> nn.Sequential:
    """Convolution that keeps the map size, batch normalisation, ReLU; no bias before the normalisation."""
    padding = dilation * (kernel_size // 2)
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def pooled_block(in_channels: int, out_channels: int, bins: int) -> nn.Sequential:
    """Average over ``bins`` x ``bins`` cells, 1x1 convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(bins),
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        PooledBatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def upsample(maps: Tensor, like: Tensor) -> Tensor:
    """Resize maps to the height, width and memory layout of ``like``: bilinear, corners aligned."""
    resized = F.interpolate(maps, size=like.shape[-2:], mode="bilinear", align_corners=True)
    # A map of one cell has no layout that could be kept.
    channels_last = like.is_contiguous(memory_format=torch.channels_last)
    return resized.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
