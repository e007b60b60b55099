"""The heads: from the maps of a backbone to class scores."""

from typing import Final

import torch
from torch import Tensor, nn

from segdistill.networks.openmmlab.blocks import conv_module, pooled_module, upsample


class DecodeHead(nn.Module):
    """A head: ``forward`` gives the map that the classifier ``conv_seg`` reads, `classify` its scores.

    Args:
        channels: Width of that map.
        num_classes: Channels of the logits.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv_seg = nn.Conv2d(channels, num_classes, 1)
        self.dropout = nn.Dropout2d(0.1)

    def classify(self, maps: Tensor) -> Tensor:
        """Class scores (B, num_classes, h, w) of a map (B, channels, h, w)."""
        scores: Tensor = self.conv_seg(self.dropout(maps))
        return scores


class PSPHead(DecodeHead):
    """Pyramid pooling: a map beside its averages over 1, 4, 9 and 36 cells.

    Source:
        Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017.
    """

    def __init__(self, in_channels: int, channels: int, num_classes: int, output_stride: int) -> None:
        super().__init__(channels, num_classes)
        self.psp_modules = nn.ModuleList([pooled_module(in_channels, channels, bins) for bins in (1, 2, 3, 6)])
        self.bottleneck = conv_module(in_channels + 4 * channels, channels, 3)

    def forward(self, deep: Tensor) -> Tensor:
        """Map (B, in_channels, h, w) to (B, channels, h, w)."""
        views = [deep, *(upsample(level(deep), deep) for level in self.psp_modules)]
        maps: Tensor = self.bottleneck(torch.cat(views, dim=1))
        return maps


class ASPPHead(DecodeHead):
    """Atrous spatial pyramid pooling: five views of one map side by side, then one 3x3 convolution.

    The dilations are 12, 24, 36 at output stride 8, and the same in image pixels at others.

    Source:
        Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", arXiv 1706.05587.
    """

    def __init__(self, in_channels: int, channels: int, num_classes: int, output_stride: int) -> None:
        super().__init__(channels, num_classes)
        rates = [rate * 8 // output_stride for rate in (12, 24, 36)]
        self.image_pool = pooled_module(in_channels, channels, 1)
        self.aspp_modules = nn.ModuleList(
            [conv_module(in_channels, channels), *(conv_module(in_channels, channels, 3, dilation=r) for r in rates)]
        )
        self.bottleneck = conv_module(5 * channels, channels, 3)

    def forward(self, deep: Tensor) -> Tensor:
        """Map (B, in_channels, h, w) to (B, channels, h, w)."""
        views = [upsample(self.image_pool(deep), deep), *(branch(deep) for branch in self.aspp_modules)]
        maps: Tensor = self.bottleneck(torch.cat(views, dim=1))
        return maps


class FCNHead(DecodeHead):
    """One 3x3 convolution: the auxiliary head."""

    def __init__(self, in_channels: int, channels: int, num_classes: int) -> None:
        super().__init__(channels, num_classes)
        self.convs = nn.Sequential(conv_module(in_channels, channels, 3))

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, in_channels, h, w) to (B, channels, h, w)."""
        result: Tensor = self.convs(maps)
        return result


HEADS: Final = {"deeplabv3": ASPPHead, "pspnet": PSPHead}
"""Heads on the deepest map by name."""
