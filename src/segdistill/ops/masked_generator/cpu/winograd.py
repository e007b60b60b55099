"""A 3x3 convolution by Winograd's minimal filtering, F(2x2, 3x3): 4 multiplications an output instead of 9.

Input tiles of 4x4, two cells apart, and the kernel go through small fixed matrices; then the 16 places of a tile are 16
independent matrix products, and a last matrix makes 2x2 outputs of 16 products. With the matrices of Lavin and Gray,
arXiv 1509.09308, whose entries are 0, 1, -1 and 1/2, it is exact up to rounding: in float32 with 256 channels 5e-7 of
an output, where torch's direct convolution has 2e-7.

The places are done one after the other, some tiles at a time, which are read from the maps and added to the maps where
they lie: neither a transformed map nor a map with a margin is ever held.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from segdistill.ops.masked_generator.cpu.linear import linear

BLOCK = 1024  # tiles at a time: wide enough for the matrix products, small beside the maps

Terms = tuple[tuple[int, int], ...]
"""Offsets and signs: along a dimension, tile t sums the cells 2 t + offset."""

# Of the four places along a dimension: the cells of the input, those of the output, and the cells of the kernel.
_INPUT: tuple[Terms, ...] = (((-1, 1), (1, -1)), ((0, 1), (1, 1)), ((1, 1), (0, -1)), ((2, 1), (0, -1)))
_OUTPUT: tuple[Terms, ...] = (((0, 1),), ((0, 1), (1, 1)), ((0, 1), (1, -1)), ((1, 1),))
_KERNEL = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))


def winograd_conv3x3(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve with zero padding of one cell.

    Saved for the backward pass are ``x`` and ``weight`` alone. Beside its results it holds at its worst moment two
    matrices (O, I), five where the map is small, five numbers for every channel of `BLOCK` tiles, and a copy of a map
    that does not lie channels-last.

    Args:
        x: (B, I, H, W), any size.
        weight: (O, I, 3, 3).
        bias: (O,).

    Returns:
        (B, O, H, W) in channels-last memory.
    """
    y: Tensor = _Winograd.apply(x, weight, bias)
    return y


class _Winograd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        y = bias.repeat(len(x), *x.shape[2:], 1)
        _convolve(_channels_last(x), weight, y, adjoint=False)
        return y.permute(0, 3, 1, 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        slope = _channels_last(grad)
        grad_x = grad_weight = None
        if ctx.needs_input_grad[1]:  # first: it needs the most beside, and the other gradient is not there yet
            grad_weight = _correlate(_channels_last(x), slope, weight)
        if ctx.needs_input_grad[0]:
            spread = slope.new_zeros(*slope.shape[:3], x.shape[1])
            _convolve(slope, weight, spread, adjoint=True)
            grad_x = spread.permute(0, 3, 1, 2)
        return grad_x, grad_weight, slope.sum((0, 1, 2)) if ctx.needs_input_grad[2] else None


def _convolve(x: Tensor, weight: Tensor, into: Tensor, *, adjoint: bool) -> None:
    """Add the convolution of maps (B, H, W, I), or its adjoint, which swaps what is read and what is written."""
    reads, writes = (_OUTPUT, _INPUT) if adjoint else (_INPUT, _OUTPUT)
    for places, matrix, kernels in _places(x, weight):
        torch.mm(matrix, weight.reshape(-1, 9).T, out=kernels.view(len(places), -1))
        for (i, j), kernel in zip(places, kernels, strict=True):
            for block in _blocks(x):
                part = block.read(x, reads[i], reads[j])
                block.write(linear(part, kernel.T if adjoint else kernel), into, writes[i], writes[j])


def _correlate(x: Tensor, slope: Tensor, weight: Tensor) -> Tensor:
    """Gradient by the kernel, of maps (B, H, W, I) and slopes (B, H, W, O)."""
    grad = torch.zeros_like(weight, memory_format=torch.contiguous_format).view(-1, 9)
    for places, matrix, kernels in _places(x, weight):
        kernels.zero_()
        for (i, j), kernel in zip(places, kernels, strict=True):
            for block in _blocks(x):
                of_output, seen = block.read(slope, _OUTPUT[i], _OUTPUT[j]), block.read(x, _INPUT[i], _INPUT[j])
                kernel.add_(linear(of_output.T, seen.T))
        torch.addmm(grad, kernels.view(len(places), -1).T, matrix, out=grad)
    return grad.view(weight.shape)


def _places(x: Tensor, weight: Tensor) -> Iterator[tuple[list[tuple[int, int]], Tensor, Tensor]]:
    """Lines and columns of n of the 16 places, their rows (n, 9) of the kernel transform, and memory (n, O, I).

    Four places for a small map. For one that is large beside a matrix (O, I) it is one: the kernel is read for each,
    which is little then. The memory is the same every time, as fresh memory costs more than the sums.
    """
    one = weight.new_tensor(_KERNEL)
    matrix = torch.kron(one, one)
    count = 4 if x[..., 0].numel() <= 2 * len(weight) else 1
    kernels = weight.new_empty(count, *weight.shape[:2])
    for start in range(0, 16, count):
        yield [divmod(place, 4) for place in range(start, start + count)], matrix[start : start + count], kernels


def _channels_last(x: Tensor) -> Tensor:
    """(B, C, H, W) to (B, H, W, C); a copy unless it lies so."""
    return x.permute(0, 2, 3, 1).contiguous()


class _Block(NamedTuple):
    """Some lines of tiles of an image, or some images; of a map (B, H, W, C)."""

    images: slice
    lines: range
    columns: range

    def read(self, x: Tensor, of_line: Terms, of_column: Terms) -> Tensor:
        """(tiles, C): the sum of each tile's cells, zero outside the map."""
        part = x.new_zeros(len(x[self.images]), len(self.lines), len(self.columns), x.shape[3])
        for tiles, cells, sign in self._terms(part, x, of_line, of_column):
            tiles.add_(cells, alpha=sign)
        return part.flatten(0, 2)

    def write(self, part: Tensor, into: Tensor, of_line: Terms, of_column: Terms) -> None:
        """Adjoint of `read`: add (tiles, C) to the cells."""
        part = part.view(-1, len(self.lines), len(self.columns), into.shape[3])
        for tiles, cells, sign in self._terms(part, into, of_line, of_column):
            cells.add_(tiles, alpha=sign)

    def _terms(self, part: Tensor, x: Tensor, of_line: Terms, of_column: Terms) -> Iterator[tuple[Tensor, Tensor, int]]:
        for line, sign in of_line:
            tile_lines, lines = _inside(self.lines, line, x.shape[1])
            for column, other in of_column:
                tile_columns, columns = _inside(self.columns, column, x.shape[2])
                yield part[:, tile_lines, tile_columns], x[self.images, lines, columns], sign * other


def _blocks(x: Tensor) -> Iterator[_Block]:
    """`BLOCK` tiles at a time, at least one line of them."""
    height, width = ((side + 1) // 2 for side in x.shape[1:3])
    lines, images = max(1, BLOCK // width), max(1, BLOCK // (height * width))
    for image in range(0, len(x), images):
        for top in range(0, height, lines):
            yield _Block(slice(image, image + images), range(top, min(top + lines, height)), range(width))


def _inside(tiles: range, offset: int, size: int) -> tuple[slice, slice]:
    """Which of the tiles have a cell 2 t + offset on the map, and these cells."""
    first = max(tiles.start, -(offset // 2))
    stop = max(first, min(tiles.stop, (size - offset + 1) // 2))
    return slice(first - tiles.start, stop - tiles.start), slice(2 * first + offset, max(0, 2 * stop + offset - 1), 2)
