"""The all-MLP head of SegFormer: every stage counts, and nothing is wider than it must be."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from segdistill.networks.zoo.backbones import Stage
from segdistill.networks.zoo.blocks import Head, upsample


class SegFormerHead(Head):
    """All maps of a backbone brought to one width and size, and mixed.

    Args:
        stages: The backbone's maps.

    Note:
        The published head resizes the maps, joins them and mixes the whole by one 1x1 convolution. Here each map is
        mixed at its own size and resized then, and the results are added. A 1x1 convolution and a bilinear resize may
        change places, so that the function is the same for a fraction of the operations.

    Source:
        Xie et al., "SegFormer", NeurIPS 2021, section 3.2, with the width 256 of its smaller networks.

    Example:
        >>> import torch
        >>> head = SegFormerHead.on([Stage(16, 4), Stage(24, 8)])
        >>> head([torch.randn(2, 16, 8, 8), torch.randn(2, 24, 4, 4)]).shape
        torch.Size([2, 256, 8, 8])
    """

    output_stride = 32

    def __init__(self, stages: Sequence[Stage]) -> None:
        super().__init__()
        width = 256
        self.project = nn.ModuleList(nn.Conv2d(stage.width, width, 1) for stage in stages)
        self.mix = nn.ModuleList(nn.Conv2d(width, width, 1, bias=False) for _ in stages)
        self.norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(0.1)
        self.out_channels, self.out_stride = width, stages[0].stride

    @classmethod
    def on(cls, stages: Sequence[Stage]) -> "SegFormerHead":
        """On all maps."""
        return cls(stages)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of the backbone to (B, ``out_channels``, h, w), at the size of the finest."""
        mixed = [mix(project(x)) for mix, project, x in zip(self.mix, self.project, maps, strict=True)]
        total = mixed[0]
        for each in mixed[1:]:
            total = total + upsample(each, total)
        result: Tensor = self.dropout(F.relu(self.norm(total)))
        return result
