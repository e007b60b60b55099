"""The backbones: four maps of an image, fine to deep."""

from collections.abc import Callable
from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn

from segdistill.networks.openmmlab.blocks import conv_module

LAST_STAGES: Final = {8: ((1, 2), (1, 4)), 16: ((2, 1), (1, 2)), 32: ((2, 1), (2, 1))}
"""Stride and dilation of the third and of the fourth stage, by output stride."""


class Backbone(nn.Module):
    """Four maps of an image.

    Attributes:
        channels: Width of each.
    """

    channels: tuple[int, ...]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside the identity; only the first is dilated."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, dilation, dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _downsample(in_channels, width, stride)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, width, h / stride, w / stride)."""
        residual = F.relu(self.bn1(self.conv1(maps)))
        return F.relu(self.bn2(self.conv2(residual)) + self.downsample(maps))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside the identity; the 3x3 has stride and dilation."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = _downsample(in_channels, 4 * width, stride)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, 4 * width, h / stride, w / stride)."""
        residual = F.relu(self.bn1(self.conv1(maps)))
        residual = F.relu(self.bn2(self.conv2(residual)))
        return F.relu(self.bn3(self.conv3(residual)) + self.downsample(maps))


class ResNetV1c(Backbone):
    """A ResNet whose stem is three 3x3 convolutions.

    Args:
        block: `BasicBlock` or `Bottleneck`.
        num_blocks: Of each stage.
        output_stride: Image pixels per cell of the last map: 8, 16 or 32.

    Note:
        The first block of a dilated stage has half its dilation.
    """

    def __init__(
        self, block: type[BasicBlock] | type[Bottleneck], num_blocks: tuple[int, ...], output_stride: int
    ) -> None:
        super().__init__()
        stem: list[nn.Module] = []
        for in_channels, out_channels, stride in ((3, 32, 2), (32, 32, 1), (32, 64, 1)):
            convolution = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
            stem += [convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]
        self.stem = nn.Sequential(*stem)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        widths = (64, 128, 256, 512)
        self.channels = tuple(width * block.expansion for width in widths)
        stages = zip(num_blocks, widths, ((1, 1), (2, 1), *LAST_STAGES[output_stride]), strict=True)
        in_channels = 64
        for index, (count, width, (stride, dilation)) in enumerate(stages, start=1):
            blocks = [block(in_channels, width, stride, max(1, dilation // 2))]
            in_channels = width * block.expansion
            blocks += [block(in_channels, width, 1, dilation) for _ in range(count - 1)]
            self.add_module(f"layer{index}", nn.Sequential(*blocks))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map a normalised image (B, 3, H, W) to the maps of the four stages."""
        maps = [self.maxpool(self.stem(image))]
        for index in range(1, 5):
            maps.append(self.get_submodule(f"layer{index}")(maps[-1]))
        return maps[1:]


class InvertedResidual(nn.Module):
    """A depthwise 3x3 convolution between two 1x1 ones, the first of which widens (there is none for ``expand`` 1)."""

    def __init__(self, in_channels: int, out_channels: int, *, expand: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        width = in_channels * expand
        widen = [conv_module(in_channels, width, activation=nn.ReLU6)] if expand > 1 else []
        self.conv = nn.Sequential(
            *widen,
            conv_module(width, width, 3, stride=stride, dilation=dilation, groups=width, activation=nn.ReLU6),
            conv_module(width, out_channels, activation=nn.Identity),
        )
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, out_channels, h / stride, w / stride)."""
        result: Tensor = self.conv(maps)
        return maps + result if self.residual else result


class MobileNetV2(Backbone):
    """MobileNetV2 without its last convolution; its four maps are those of ``layer2``, 3, 5 and 7.

    Args:
        output_stride: Image pixels per cell of the last map: 8, 16 or 32.

    Note:
        The first block of a dilated stage has all of its dilation and the others none, unlike in the ResNets.
    """

    channels = (24, 32, 96, 320)

    def __init__(self, output_stride: int) -> None:
        super().__init__()
        self.conv1 = conv_module(3, 32, 3, stride=2, activation=nn.ReLU6)
        third, fourth = LAST_STAGES[output_stride]
        strides = (1, 2, 2, third[0], 1, fourth[0], 1)
        dilations = (1, 1, 1, third[1], third[1], fourth[1], fourth[1])
        layers = zip((16, 24, 32, 64, 96, 160, 320), (1, 2, 3, 4, 3, 3, 1), strides, dilations, strict=True)
        in_channels = 32
        for index, (width, count, stride, dilation) in enumerate(layers, start=1):
            expand = 1 if index == 1 else 6
            blocks = [InvertedResidual(in_channels, width, expand=expand, stride=stride, dilation=dilation)]
            blocks += [InvertedResidual(width, width, expand=expand) for _ in range(count - 1)]
            in_channels = width
            self.add_module(f"layer{index}", nn.Sequential(*blocks))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map a normalised image (B, 3, H, W) to the four maps."""
        maps = [self.conv1(image)]
        for index in range(1, 8):
            maps.append(self.get_submodule(f"layer{index}")(maps[-1]))
        return [maps[index] for index in (2, 3, 5, 7)]


BACKBONES: Final[dict[str, Callable[[int], Backbone]]] = {
    "resnet18": lambda output_stride: ResNetV1c(BasicBlock, (2, 2, 2, 2), output_stride),
    "resnet50": lambda output_stride: ResNetV1c(Bottleneck, (3, 4, 6, 3), output_stride),
    "resnet101": lambda output_stride: ResNetV1c(Bottleneck, (3, 4, 23, 3), output_stride),
    "mobilenetv2": MobileNetV2,
}
"""Backbones by name, called with the output stride."""


def _downsample(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """What brings the identity to the width and size of the residual."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
        nn.BatchNorm2d(out_channels),
    )
