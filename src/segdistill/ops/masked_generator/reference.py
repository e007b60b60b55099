"""The generator's convolutions in plain PyTorch: defines them."""

from torch import Tensor
from torch.nn import functional as F


def masked_conv_reference(
    x: Tensor, keep: Tensor, align_weight: Tensor, align_bias: Tensor, weight: Tensor, bias: Tensor
) -> Tensor:
    """Project, hide, convolve. Arguments as in `api.masked_conv`."""
    return conv3x3_reference(masked_projection(x, keep, align_weight, align_bias), weight, bias)


def masked_projection(x: Tensor, keep: Tensor, align_weight: Tensor, align_bias: Tensor) -> Tensor:
    """(B, S, H, W) to (B, C, H, W), hidden positions zero."""
    return F.conv2d(x, align_weight.to(x.dtype), align_bias.to(x.dtype)) * keep


def conv3x3_reference(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve with zero padding of one cell, in the dtype of ``x``."""
    return F.conv2d(x, weight.to(x.dtype), bias.to(x.dtype), padding=1)
