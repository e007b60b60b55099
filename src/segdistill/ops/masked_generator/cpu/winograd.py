"""A 3x3 convolution by Winograd's minimal filtering, F(2x2, 3x3): 4 multiplications an output instead of 9.

Input tiles of 4x4, two cells apart, and the kernel go through small fixed matrices; then the 16 places of a tile are 16
independent matrix products, and a last matrix makes 2x2 outputs of 16 products. With the matrices of Lavin and Gray,
arXiv 1509.09308, whose entries are 0, 1, -1 and 1/2, it is exact up to rounding: in float32 with 256 channels 5e-7 of
an output, where torch's direct convolution has 2e-7.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from segdistill.ops.masked_generator.cpu.linear import linear

BLOCK = 1024  # tiles at a time: wide enough for the matrix products, small enough for memory to be used again

# Part i of the input transform: of four neighbouring lines, a + sign * b. Lines and columns are treated alike.
_INPUT = ((0, 2, -1), (1, 2, 1), (2, 1, -1), (3, 1, -1))
# Coefficients of part i in the two outputs.
_OUTPUT = ((1, 0), (1, 1), (1, -1), (0, 1))
_KERNEL = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))


def winograd_conv3x3(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve with zero padding of one cell.

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
    """The four parts of lines one after the other, so that a quarter of the kernel's transform is there at a time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        padded, (height, width) = _pad(x)
        outputs = bias.expand(len(x), 2 * height, 2 * width, -1).clone()
        kernels = weight.new_empty(4, *weight.shape[:2])  # one after the other: fresh memory costs more than the sums
        for i, by_line in enumerate(_OUTPUT):
            _transform_kernel(weight, i, kernels)
            for block, output in zip(
                _blocks(padded, 2, height, width), _blocks(outputs, 0, height, width), strict=True
            ):
                line = _combine(block, 1, i)
                columns: list[Tensor | None] = [None, None]
                for j, by_column in enumerate(_OUTPUT):
                    product = _product(_combine(line, 2, j), kernels[j])
                    columns = [_add(total, sign, product) for total, sign in zip(columns, by_column, strict=True)]
                for p, sign in enumerate(by_line):
                    for q, column in enumerate(columns):
                        if sign and column is not None:
                            output[:, p::2, q::2].add_(column, alpha=sign)
        return _to_map(outputs, x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        padded, (height, width) = _pad(x)
        slopes = _even(grad.permute(0, 2, 3, 1), height, width)
        grad_padded = torch.zeros_like(padded) if ctx.needs_input_grad[0] else None
        grad_weight = weight.new_empty(weight[:, :, 0, 0].numel(), 9) if ctx.needs_input_grad[1] else None
        kernels = weight.new_empty(4, *weight.shape[:2])
        grad_kernels = None if grad_weight is None else torch.empty_like(kernels)
        for i, by_line in enumerate(_OUTPUT):
            _transform_kernel(weight, i, kernels)
            for number, (block, slope, into) in enumerate(
                zip(
                    _blocks(padded, 2, height, width),
                    _blocks(slopes, 0, height, width),
                    _blocks(padded if grad_padded is None else grad_padded, 2, height, width),
                    strict=True,
                )
            ):
                line, slope_line = _combine(block, 1, i), _mix(slope[:, 0::2], slope[:, 1::2], by_line)
                grad_line = torch.zeros_like(line)
                for j, by_column in enumerate(_OUTPUT):
                    part = _mix(slope_line[:, :, 0::2], slope_line[:, :, 1::2], by_column).contiguous()
                    if grad_padded is not None:
                        _spread(_product(part, kernels[j].T), grad_line, 2, j)
                    if grad_kernels is not None:
                        seen = _combine(line, 2, j)
                        some = linear(part.flatten(0, 2).T, seen.flatten(0, 2).T)
                        grad_kernels[j].add_(some) if number else grad_kernels[j].copy_(some)
                if grad_padded is not None:
                    _spread(grad_line, into, 1, i)
            if grad_weight is not None and grad_kernels is not None:
                torch.addmm(
                    grad_weight,
                    grad_kernels.flatten(1).T,
                    _kernel_matrix(weight, i),
                    beta=int(i > 0),
                    out=grad_weight,
                )
        return (
            None if grad_padded is None else _to_map(grad_padded[:, 1:, 1:], x),
            None if grad_weight is None else grad_weight.view(weight.shape),
            grad.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None,
        )


def _product(x: Tensor, kernel: Tensor) -> Tensor:
    """(1, h, w, I) and (O, I) to (1, h, w, O)."""
    return linear(x.flatten(0, 2), kernel).view(*x.shape[:3], -1)


def _pad(x: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Zeros around the map, so that whole tiles cover it: (B, 2h + 2, 2w + 2, I), and (h, w), tiles a side."""
    height, width = x.shape[2:]
    x = x.permute(0, 2, 3, 1)
    return F.pad(x, (0, 0, 1, 1 + width % 2, 1, 1 + height % 2)), ((height + 1) // 2, (width + 1) // 2)


def _even(x: Tensor, height: int, width: int) -> Tensor:
    """Zeros below and on the right, up to whole tiles; the map itself where it has them."""
    if x.shape[1:3] == (2 * height, 2 * width):
        return x
    return F.pad(x, (0, 0, 0, 2 * width - x.shape[2], 0, 2 * height - x.shape[1]))


def _to_map(x: Tensor, like: Tensor) -> Tensor:
    """(B, H', W', C), cut to the size of ``like``, as (B, C, H, W)."""
    return x[:, : like.shape[2], : like.shape[3]].permute(0, 3, 1, 2)


def _blocks(x: Tensor, margin: int, height: int, width: int) -> Iterator[Tensor]:
    """Some lines of tiles of an image at a time, two lines of cells each and ``margin`` more."""
    lines = max(1, BLOCK // width)
    for image in torch.split(x, 1):
        for top in range(0, height, lines):
            yield image[:, 2 * top : 2 * min(top + lines, height) + margin]


def _every_second(x: Tensor, dim: int, start: int) -> Tensor:
    """Lines or columns ``start``, ``start + 2``, ..., one for each tile."""
    count = x.shape[dim] // 2 - 1
    stop = start + 2 * count - 1
    return x[:, start:stop:2] if dim == 1 else x[:, :, start:stop:2]


def _combine(x: Tensor, dim: int, i: int) -> Tensor:
    """Part i of the input transform along a dimension."""
    a, b, sign = _INPUT[i]
    return torch.add(_every_second(x, dim, a), _every_second(x, dim, b), alpha=sign)


def _spread(grad: Tensor, into: Tensor, dim: int, i: int) -> None:
    """Its adjoint: add the gradient of part i to that of the input."""
    a, b, sign = _INPUT[i]
    _every_second(into, dim, a).add_(grad)
    _every_second(into, dim, b).add_(grad, alpha=sign)


def _mix(first: Tensor, second: Tensor, signs: tuple[int, int]) -> Tensor:
    """Adjoint of the output transform along a dimension: one part out of two outputs."""
    if 0 in signs:
        return first if signs[0] else second
    return torch.add(first, second, alpha=signs[1])


def _add(total: Tensor | None, sign: int, term: Tensor) -> Tensor | None:
    if sign == 0:
        return total
    return term if total is None else total.add_(term, alpha=sign)  # the first sign of each output is 1


def _transform_kernel(weight: Tensor, i: int, into: Tensor) -> None:
    """(O, I, 3, 3) to (4, O, I): part i of its lines, all parts of its columns."""
    torch.mm(_kernel_matrix(weight, i), weight.reshape(-1, 9).T, out=into.view(4, -1))


def _kernel_matrix(like: Tensor, i: int) -> Tensor:
    """(4, 9): what the kernel transform does to lines, part i, and columns together."""
    one = like.new_tensor(_KERNEL)
    return torch.kron(one[i], one).view(4, 9)
