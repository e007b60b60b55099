"""LR-ASPP: the head that MobileNetV3 is shipped with."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segdistill.networks.zoo.backbones import Stage
from segdistill.networks.zoo.blocks import Head, conv_block, upsample


class LRASPPHead(Head):
    """A deep map, weighed by its own mean, beside a finer one.

    Args:
        deep: The backbone's last map.
        fine: A map at stride 8, or the nearest finer one.
        fine_index: Which of the backbone's maps that is.

    Note:
        The published network classifies both maps apart and adds the scores. Here they are joined, and one classifier
        reads both, which is the same function.

    Source:
        Howard et al., "Searching for MobileNetV3", ICCV 2019, section 6.3, with 128 channels and pooling over the
        whole map.

    Example:
        >>> head = LRASPPHead.on([Stage(16, 4), Stage(24, 8), Stage(48, 16), Stage(96, 16)])
        >>> head([torch.randn(2, 24, 8, 8)] * 2 + [torch.randn(2, 96, 4, 4)] * 2).shape
        torch.Size([2, 152, 8, 8])
    """

    output_stride = 16

    def __init__(self, deep: Stage, fine: Stage, fine_index: int) -> None:
        super().__init__()
        width = 128
        self.fine_index = fine_index
        self.project = conv_block(deep.width, width)
        self.scale = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(deep.width, width, 1, bias=False), nn.Sigmoid())
        self.out_channels, self.out_stride = width + fine.width, fine.stride

    @classmethod
    def on(cls, stages: Sequence[Stage]) -> "LRASPPHead":
        """On the deepest map and the first at stride 8 or more, or the one before the deepest."""
        before = range(max(1, len(stages) - 1))
        index = next((place for place in before if stages[place].stride >= 8), before[-1])
        return cls(stages[-1], stages[index], index)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of the backbone to (B, ``out_channels``, h, w), at the size of the finer one."""
        deep, fine = maps[-1], maps[self.fine_index]
        weighed = self.project(deep) * self.scale(deep)
        return torch.cat([upsample(weighed, fine), fine], dim=1)
