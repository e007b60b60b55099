"""DeepLabV3 on dilated ResNets, of torch alone, so that a whole step can be measured where nothing else is installed.

As deep, wide and strided (8) as the published networks; weights are random, which costs the same.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segdistill.types import SegOutput

DEPTHS = {"resnet18": ((2, 2, 2, 2), 1), "resnet101": ((3, 4, 23, 3), 4)}
WIDTHS = (64, 128, 256, 512)


def conv_bn(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Convolution and BatchNorm."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False), nn.BatchNorm2d(outputs)
    )


class Block(nn.Module):
    """A residual block, of two 3x3 convolutions or a bottleneck."""

    def __init__(self, inputs: int, width: int, expansion: int, stride: int, dilation: int) -> None:
        super().__init__()
        outputs = width * expansion
        if expansion == 1:
            layers = [conv_bn(inputs, width, 3, stride, dilation), nn.ReLU(), conv_bn(width, width, 3, 1, dilation)]
        else:
            layers = [
                conv_bn(inputs, width, 1), nn.ReLU(),
                conv_bn(width, width, 3, stride, dilation), nn.ReLU(),
                conv_bn(width, outputs, 1),
            ]  # fmt: skip
        self.body = nn.Sequential(*layers)
        self.short = nn.Identity() if stride == 1 and inputs == outputs else conv_bn(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both ways."""
        return F.relu(self.body(x) + self.short(x))


class DeepLabV3(nn.Module):
    """Backbone at stride 8, five branches at rates 12, 24, 36, classifier.

    Args:
        backbone: ``resnet18`` or ``resnet101``.
        head_width: Of the branches: 128 for students, 256 for teachers.
        num_classes: Scores of a pixel.
    """

    def __init__(self, backbone: str, head_width: int, num_classes: int = 19) -> None:
        super().__init__()
        depths, expansion = DEPTHS[backbone]
        self.stem = nn.Sequential(
            conv_bn(3, 64, 3, 2), nn.ReLU(), conv_bn(64, 64), nn.ReLU(), conv_bn(64, 128), nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        )  # fmt: skip
        stages, inputs = [], 128
        for width, depth, stride, dilation in zip(WIDTHS, depths, (1, 2, 1, 1), (1, 1, 2, 4), strict=True):
            blocks = []
            for index in range(depth):
                blocks.append(Block(inputs, width, expansion, stride if index == 0 else 1, dilation))
                inputs = width * expansion
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.channels = inputs
        self.branches = nn.ModuleList(
            [conv_bn(inputs, head_width, 1), *(conv_bn(inputs, head_width, 3, 1, rate) for rate in (12, 24, 36))]
        )
        self.pooled = nn.Conv2d(inputs, head_width, 1)
        self.project = conv_bn(5 * head_width, head_width)
        self.classify = nn.Conv2d(head_width, num_classes, 1)

    def forward(self, image: Tensor) -> SegOutput:
        """Scores at stride 8, and the backbone's last map as ``layer4``."""
        deep = self.stages(self.stem(image))
        pooled = F.relu(self.pooled(deep.mean((2, 3), keepdim=True))).expand(-1, -1, *deep.shape[2:])
        branches = torch.cat([*(F.relu(branch(deep)) for branch in self.branches), pooled], dim=1)
        return SegOutput(self.classify(F.relu(self.project(branches))), None, {"layer4": deep})

    @property
    def feature_channels(self) -> dict[str, int]:
        """What the network publishes by name."""
        return {"layer4": self.channels}
