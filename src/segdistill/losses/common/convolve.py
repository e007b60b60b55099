"""A convolution in the precision of its input."""

from torch import Tensor, nn
from torch.nn import functional as F


def convolve(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Apply the layer in the dtype of ``x``, so that low-precision parameters do not lower the precision."""
    bias = None if layer.bias is None else layer.bias.to(x.dtype)
    return F.conv2d(x, layer.weight.to(x.dtype), bias, padding=(layer.kernel_size[0] // 2, layer.kernel_size[1] // 2))
