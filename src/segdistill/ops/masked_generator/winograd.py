"""A 3x3 convolution by Winograd's minimal filtering, F(2x2, 3x3): 4 multiplications an output instead of 9.

Input tiles of 4x4, two cells apart, and the kernel go through small fixed matrices; then the 16 places of a tile are 16
independent matrix products, and a last matrix makes 2x2 outputs of 16 products. With the matrices of Lavin and Gray,
arXiv 1509.09308, whose entries are 0, 1, -1 and 1/2, it is exact up to rounding, which is no larger than that of the
direct sum. Nothing larger than a quarter of a map is held beside input and output.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from segdistill.ops._linear import linear

# Row i of the input transform: out of four neighbouring rows, a + sign * b. Lines and columns are treated alike.
_INPUT = ((0, 2, -1), (1, 2, 1), (2, 1, -1), (1, 3, -1))
# Coefficients of product i in the two outputs.
_OUTPUT = ((1, 0), (1, 1), (1, -1), (0, -1))
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
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        padded, tiles = _pad(x)
        kernels = _transform_kernel(weight)
        outputs = bias.expand(len(x), 2 * tiles[0], 2 * tiles[1], -1).clone()
        for i, by_column in enumerate(_OUTPUT):
            line = _combine(padded, 1, i, tiles[0])
            products: list[Tensor | None] = [None, None]
            for j, by_row in enumerate(_OUTPUT):
                product = _product(_combine(line, 2, j, tiles[1]), kernels[4 * i + j])
                products = [_add(sum_, sign, product) for sum_, sign in zip(products, by_row, strict=True)]
            for p, sign in enumerate(by_column):
                for q, sum_ in enumerate(products):
                    if sign and sum_ is not None:
                        outputs[:, p::2, q::2].add_(sum_, alpha=sign)
        return _to_map(outputs, x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        padded, tiles = _pad(x)
        grads = _even(grad.permute(0, 2, 3, 1), tiles)
        kernels = _transform_kernel(weight)
        grad_padded = torch.zeros_like(padded) if ctx.needs_input_grad[0] else None
        grad_kernels = torch.empty_like(kernels) if ctx.needs_input_grad[1] else None
        for i, by_column in enumerate(_OUTPUT):
            line = _combine(padded, 1, i, tiles[0])
            grad_line = None if grad_padded is None else torch.zeros_like(line)
            grad_rows = _mix(grads[:, 0::2], grads[:, 1::2], by_column)
            for j, by_row in enumerate(_OUTPUT):
                slope = _mix(grad_rows[:, :, 0::2], grad_rows[:, :, 1::2], by_row).contiguous()
                if grad_line is not None:
                    _spread(_product(slope, kernels[4 * i + j].T), grad_line, 2, j, tiles[1])
                if grad_kernels is not None:
                    part = _combine(line, 2, j, tiles[1])
                    grad_kernels[4 * i + j] = linear(slope.flatten(0, 2).T, part.flatten(0, 2).T)
            if grad_padded is not None and grad_line is not None:
                _spread(grad_line, grad_padded, 1, i, tiles[0])
        return (
            None if grad_padded is None else _to_map(grad_padded[:, 1:, 1:], x),
            None if grad_kernels is None else _transform_kernel_back(grad_kernels, weight),
            grad.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None,
        )


def _product(x: Tensor, kernel: Tensor) -> Tensor:
    """(B, h, w, I) and (O, I) to (B, h, w, O)."""
    return linear(x.flatten(0, 2), kernel).view(*x.shape[:3], -1)


def _pad(x: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Zeros around the map, so that whole tiles cover it: (B, 2h + 2, 2w + 2, I), and (h, w), tiles a side."""
    height, width = x.shape[2:]
    x = x.permute(0, 2, 3, 1)
    return F.pad(x, (0, 0, 1, 1 + width % 2, 1, 1 + height % 2)), ((height + 1) // 2, (width + 1) // 2)


def _even(x: Tensor, tiles: tuple[int, int]) -> Tensor:
    return F.pad(x, (0, 0, 0, 2 * tiles[1] - x.shape[2], 0, 2 * tiles[0] - x.shape[1]))


def _to_map(x: Tensor, like: Tensor) -> Tensor:
    """(B, H', W', C), cut to the size of ``like``, as (B, C, H, W)."""
    return x[:, : like.shape[2], : like.shape[3]].permute(0, 3, 1, 2)


def _slice(x: Tensor, dim: int, start: int, count: int) -> Tensor:
    """Every second line or column, ``count`` of them."""
    stop = start + 2 * count - 1
    return x[:, start:stop:2] if dim == 1 else x[:, :, start:stop:2]


def _combine(x: Tensor, dim: int, i: int, count: int) -> Tensor:
    """Part i of the input transform along a dimension."""
    a, b, sign = _INPUT[i]
    return torch.add(_slice(x, dim, a, count), _slice(x, dim, b, count), alpha=sign)


def _spread(grad: Tensor, into: Tensor, dim: int, i: int, count: int) -> None:
    """Its adjoint: add the gradient of part i to that of the input."""
    a, b, sign = _INPUT[i]
    _slice(into, dim, a, count).add_(grad)
    _slice(into, dim, b, count).add_(grad, alpha=sign)


def _mix(first: Tensor, second: Tensor, signs: tuple[int, int]) -> Tensor:
    """Adjoint of the output transform along a dimension: one part out of two outputs."""
    if signs[1] == 0:
        return first
    return -second if signs[0] == 0 else torch.add(first, second, alpha=signs[1])


def _add(total: Tensor | None, sign: int, term: Tensor) -> Tensor | None:
    if sign == 0:
        return total
    return sign * term if total is None else total.add_(term, alpha=sign)


def _transform_kernel(weight: Tensor) -> Tensor:
    """(O, I, 3, 3) to (16, O, I)."""
    return (_kernel_matrix(weight) @ weight.reshape(-1, 9).T).view(16, *weight.shape[:2])


def _transform_kernel_back(grads: Tensor, weight: Tensor) -> Tensor:
    return (grads.flatten(1).T @ _kernel_matrix(weight)).view(weight.shape)


def _kernel_matrix(like: Tensor) -> Tensor:
    """(16, 9): what the kernel transform does to lines and columns together."""
    one = like.new_tensor(_KERNEL)
    return torch.kron(one, one)
