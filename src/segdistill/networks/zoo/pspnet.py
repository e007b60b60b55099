"""PSPNet: pyramid pooling."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segdistill.networks.zoo.backbones import Stage
from segdistill.networks.zoo.blocks import Head, conv_block, pooled_block, upsample


class PSPHead(Head):
    """A map beside its own averages over 1, 4, 9 and 36 cells.

    Args:
        in_channels: Width of the backbone's last map.
        output_stride: Accepted as for every head; the pyramid does not depend on it.

    Note:
        Each average gets a quarter of ``in_channels``; the result is that wide too, but at least 128.
        This gives the published 512 for 2048 channels and 128 for 512 and 320.

    Source:
        Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017; widths as the Af-DCD authors train it.

    Example:
        >>> head = PSPHead(64, output_stride=8)
        >>> head([torch.randn(2, 64, 5, 7)]).shape
        torch.Size([2, 128, 5, 7])
    """

    def __init__(self, in_channels: int, output_stride: int) -> None:
        super().__init__()
        quarter = in_channels // 4
        width = max(128, quarter)
        self.pyramid = nn.ModuleList([pooled_block(in_channels, quarter, bins) for bins in (1, 2, 3, 6)])
        self.block = nn.Sequential(*conv_block(in_channels + 4 * quarter, width, 3), nn.Dropout(0.1))
        self.out_channels, self.out_stride = width, output_stride

    @classmethod
    def on(cls, stages: Sequence[Stage]) -> "PSPHead":
        """On the deepest map alone."""
        return cls(*stages[-1])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of the backbone, of which the deepest is read, (B, C, h, w), to (B, ``out_channels``, h, w)."""
        deep = maps[-1]
        views = [deep, *(upsample(level(deep), deep) for level in self.pyramid)]
        result: Tensor = self.block(torch.cat(views, dim=1))
        return result
