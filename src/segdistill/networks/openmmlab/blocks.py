"""The layers that backbones and heads share."""

import torch.nn.functional as F
from torch import Tensor, nn

from segdistill.networks.zoo.blocks import PooledBatchNorm2d


def conv_module(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 1,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    norm: type[nn.BatchNorm2d] = nn.BatchNorm2d,
    activation: type[nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """Convolution ``conv`` without a bias, batch normalisation ``bn``, activation; stride 1 keeps the map's size."""
    layers = nn.Sequential()
    padding = dilation * (kernel_size // 2)
    layers.add_module(
        "conv", nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias=False)
    )
    layers.add_module("bn", norm(out_channels))
    layers.add_module("activation", activation())
    return layers


def pooled_module(in_channels: int, out_channels: int, bins: int) -> nn.Sequential:
    """Average over ``bins`` x ``bins`` cells, then a 1x1 `conv_module`, which has the index 1."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(bins), conv_module(in_channels, out_channels, norm=PooledBatchNorm2d))


def upsample(maps: Tensor, like: Tensor) -> Tensor:
    """Resize maps to the height and width of ``like``: bilinear, corners not aligned, unlike the zoo's."""
    return F.interpolate(maps, size=like.shape[-2:], mode="bilinear", align_corners=False)
