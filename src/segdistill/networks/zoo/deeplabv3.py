"""DeepLabV3: atrous spatial pyramid pooling."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segdistill.networks.zoo.backbones import Stage
from segdistill.networks.zoo.blocks import Head, conv_block, pooled_block, upsample


class DeepLabV3Head(Head):
    """Five views of one map, side by side: 1x1, three dilated 3x3, and the mean of the whole map.

    Args:
        in_channels: Width of the backbone's last map.
        output_stride: Image pixels per map cell. The dilations are 12, 24, 36 at 8, half of that at 16 and a quarter
            at 32, so that the view in image pixels stays the same.

    Note:
        Width: an eighth of ``in_channels``, at least 128. This gives the published 256 for 2048 channels
        and 128 for 512 and 320.

    Source:
        Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", arXiv 1706.05587;
        widths and dropout as the Af-DCD authors train it.

    Example:
        >>> head = DeepLabV3Head(64, output_stride=16)
        >>> head([torch.randn(2, 64, 5, 7)]).shape
        torch.Size([2, 128, 5, 7])
    """

    def __init__(self, in_channels: int, output_stride: int) -> None:
        super().__init__()
        width = max(128, in_channels // 8)
        rates = [max(1, rate * 8 // output_stride) for rate in (12, 24, 36)]
        self.branches = nn.ModuleList(
            [
                conv_block(in_channels, width),
                *(conv_block(in_channels, width, 3, dilation=rate) for rate in rates),
            ]
        )
        self.pooling = pooled_block(in_channels, width, 1)
        self.project = nn.Sequential(*conv_block(5 * width, width), nn.Dropout(0.5))
        self.block = nn.Sequential(*conv_block(width, width, 3), nn.Dropout(0.1))
        self.out_channels, self.out_stride = width, output_stride

    @classmethod
    def on(cls, stages: Sequence[Stage]) -> "DeepLabV3Head":
        """On the deepest map alone."""
        return cls(*stages[-1])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of the backbone, of which the deepest is read, (B, C, h, w), to (B, ``out_channels``, h, w)."""
        deep = maps[-1]
        views = [branch(deep) for branch in self.branches]
        views.append(upsample(self.pooling(deep), deep))
        result: Tensor = self.block(self.project(torch.cat(views, dim=1)))
        return result
