"""Resizing and pooling as products with matrices, which every runtime computes alike.

Runtimes differ in operations that look at the size of a map: adaptive pooling is exported for one size alone or fails
at others, and of an antialiased resize some leave the antialiasing out. A matrix made of the sizes, and two products,
are the same numbers up to rounding, at every size, in all of them.
"""

from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor, nn


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
    """(to, length): a bilinear resize with antialiasing along one side, as torch and Pillow compute it."""
    ratio = length / to
    support = ratio if isinstance(ratio, torch.SymFloat) else max(ratio, 1.0)
    if isinstance(support, torch.SymFloat):
        support = torch.sym_max(support, 1.0)
    centre = (torch.arange(to, dtype=torch.float32) + 0.5) * ratio
    place = torch.arange(length, dtype=torch.float32) + 0.5
    weight = (1 - (place[None] - centre[:, None]).abs() / support).clamp(min=0)
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


def with_matrix_pools(module: nn.Module) -> nn.Module:
    """Put `MatrixPool` in the place of every adaptive average pooling, in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.AdaptiveAvgPool2d):
            setattr(module, name, MatrixPool(child.output_size))
        else:
            with_matrix_pools(child)
    return module
