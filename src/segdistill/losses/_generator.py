"""Masked generation: hide positions of a map, and the small networks that regenerate it."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Mask = Literal["random", "centre", "none"]
GeneratorName = Literal["plain", "enhanced"]


def convolve(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Apply the layer in the dtype of ``x``, so that low-precision parameters do not lower the precision."""
    bias = None if layer.bias is None else layer.bias.to(x.dtype)
    return F.conv2d(x, layer.weight.to(x.dtype), bias, padding=(layer.kernel_size[0] // 2, layer.kernel_size[1] // 2))


class PlainGenerator(nn.Module):
    """Two 3x3 convolutions with a ReLU between them; (B, C, H, W) to the same shape.

    Args:
        channels: C, of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Regenerate a masked map."""
        return convolve(self.conv2, F.relu(convolve(self.conv1, x)))


class EnhancedGenerator(nn.Module):
    """Two 3x3 convolutions, each followed by a ReLU and a 3x3 head; the mean of the heads is the output.

    Args:
        channels: C, of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.head1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.head2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Regenerate a masked map."""
        shallow = F.relu(convolve(self.conv1, x))
        deep = F.relu(convolve(self.conv2, shallow))
        return (convolve(self.head1, shallow) + convolve(self.head2, deep)) / 2


GENERATORS: dict[str, type[PlainGenerator] | type[EnhancedGenerator]] = {
    "plain": PlainGenerator,
    "enhanced": EnhancedGenerator,
}


def draw_keep(mask: Mask, ratio: float, like: Tensor) -> Tensor:
    """Return which positions stay visible, 1 or 0, shared by the channels of an image.

    Args:
        mask: ``"random"`` hides each position on its own with probability ``ratio``, anew at each call, from
            the global random state of the device of ``like``. ``"centre"`` hides the middle ninth, rows
            H//3 to 2H//3 and columns W//3 to 2W//3. ``"none"`` hides nothing.
        ratio: Hidden share of ``"random"``, in [0, 1).
        like: Map (B, C, H, W) that gives size, device and dtype.

    Returns:
        (B, 1, H, W). Visible positions are not scaled up.
    """
    batch, _, height, width = like.shape
    if mask == "random":
        drawn = torch.rand(batch, 1, height, width, device=like.device, dtype=torch.float32)
        return (drawn <= 1 - ratio).to(like.dtype)
    keep = like.new_ones(batch, 1, height, width)
    if mask == "centre":
        keep[..., height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = 0
    return keep
