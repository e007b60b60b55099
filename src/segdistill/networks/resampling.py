"""Layers as every runtime computes them alike, at every size: resizing and pooling as products with matrices.

Runtimes differ in operations that look at the size of a map: adaptive pooling is exported for one size alone or fails
at others, and of an antialiased resize some leave the antialiasing out. A matrix made of the sizes, and two products,
are the same numbers up to rounding, at every size, in all of them.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def scaled(side: int, scale: float) -> int:
    """``round(side * scale)``, at least 1, in whole numbers alone, so that it can be traced for any side.

    >>> [scaled(side, 0.5) for side in (1, 96, 97, 99)], [round(side * 0.5) for side in (1, 96, 97, 99)]
    ([1, 48, 48, 50], [0, 48, 48, 50])
    """
    ratio = Fraction(scale).limit_denominator(10**6)
    parts = ratio.denominator
    whole, rest = side * ratio.numerator // parts, side * ratio.numerator % parts
    nearest = whole + (2 * rest + whole % 2) // (parts + 1)  # halves to the even side, as `round` does
    return torch.sym_max(1, nearest) if isinstance(nearest, torch.SymInt) else max(1, nearest)


def shrinking_matrix(length: int, to: int) -> Tensor:
    """(to, length): a bilinear resize with antialiasing along one side, as torch and Pillow compute it.

    A weight is one minus the distance of a cell from the centre of the output's, in cells of the coarser of the two.
    Distances are whole numbers, in halves of a cell times both sides, so that large sides cost no digits.
    """
    centre, place = 2 * torch.arange(to) + 1, 2 * torch.arange(length) + 1
    distance = (place[None] * to - centre[:, None] * length).abs()
    reach: Any = 2 * torch.sym_max(length, to)
    weight: Tensor = (1 - distance.float() / reach).clamp(min=0)
    return weight / weight.sum(1, keepdim=True)


def pooling_matrix(length: int, to: int) -> Tensor:
    """(to, length): an adaptive average pooling along one side."""
    number = torch.arange(to)
    start, end = number * length // to, ((number + 1) * length + to - 1) // to
    place = torch.arange(length)
    inside = (place[None] >= start[:, None]) & (place[None] < end[:, None])
    return inside.float() / (end - start)[:, None]


def by_matrices(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(B, C, H, W) times matrices along height and width."""
    return rows.to(x) @ x @ columns.to(x).T


def resized(image: Tensor, size: Sequence[int]) -> Tensor:
    """What `F.interpolate` with ``mode="bilinear", antialias=True`` gives."""
    height, width = image.shape[-2:]
    return by_matrices(image, shrinking_matrix(height, size[0]), shrinking_matrix(width, size[1]))


def shrink(image: Tensor, scale: float) -> Tensor:
    """Resize an image (B, C, H, W) by a factor, bilinear with antialiasing."""
    height, width = image.shape[-2:]
    return resized(image, (scaled(height, scale), scaled(width, scale)))


def is_exporting() -> bool:
    """Whether torch is making a graph of what runs now, for other programs."""
    return bool(getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)())


class MatrixPool(nn.Module):
    """`nn.AdaptiveAvgPool2d` by two products.

    Args:
        size: Of the output: a number, or height and width; None keeps a side.
    """

    def __init__(self, size: int | Sequence[int | None] | None) -> None:
        super().__init__()
        self.size = tuple(size) if isinstance(size, Sequence) else (size, size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, h, w)."""
        if self.size == (1, 1):
            return x.mean((2, 3), keepdim=True)
        rows, columns = (
            torch.eye(side) if to is None else pooling_matrix(side, to)
            for side, to in zip(x.shape[-2:], self.size, strict=True)
        )
        return by_matrices(x, rows, columns)


class SameConv(nn.Module):
    """A convolution of stride 2 with TensorFlow's padding, whose sizes a graph for any size can hold.

    TensorFlow pads so that the output has half the cells, rounded up, and an even side gets one cell less in front than
    an odd one. A size that depends on whether sides are odd makes the graphs of deep networks explode. Here both are
    padded alike, and rows and columns are chosen from the first or the second on.

    Args:
        conv: The convolution, with its weights; its own padding is not read.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    @staticmethod
    def fits(module: nn.Module) -> bool:
        """Whether it is such a convolution, of an odd kernel."""
        if not isinstance(module, nn.Conv2d) or type(module).__name__ != "Conv2dSame":
            return False
        return module.stride == (2, 2) and module.dilation == (1, 1) and all(side % 2 for side in module.kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, O, ceil(H / 2), ceil(W / 2))."""
        bottom, right = (side // 2 for side in self.conv.kernel_size)
        height, width = x.shape[-2:]
        x = F.pad(x, (right, right + 1, bottom, bottom + 1))
        for dim, length, margin in ((2, height, bottom), (3, width, right)):
            x = x.index_select(dim, torch.arange(length + 2 * margin, device=x.device) + (1 - length % 2))
        return F.conv2d(x, self.conv.weight, self.conv.bias, self.conv.stride, 0, 1, self.conv.groups)


def made_portable(module: nn.Module) -> nn.Module:
    """Put layers of the same numbers that work at every size in the place of those that do not, in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.AdaptiveAvgPool2d):
            setattr(module, name, MatrixPool(child.output_size))
        elif SameConv.fits(child):
            setattr(module, name, SameConv(child))  # type: ignore[arg-type]
        else:
            made_portable(child)
    return module
