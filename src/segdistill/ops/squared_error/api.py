"""Squared error of two maps, without keeping their difference."""

from typing import Any

import torch
from torch import Tensor

from segdistill.ops.precision import working_dtype


def squared_error(x: Tensor, target: Tensor) -> Tensor:
    """Sum of ``(x - target) ** 2`` in float32 or more, image by image; ``target`` is a constant.

    Beside its arguments it holds one image's differences at a time, and in the backward pass the gradient. Plain
    operations would keep the difference of the whole batch, in float32 also where the maps are not.

    Args:
        x: (B, ...), any floating dtype.
        target: The same shape.
    """
    total: Tensor = _SquaredError.apply(x, target.detach())
    return total


class _SquaredError(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, target: Tensor) -> Tensor:
        ctx.save_for_backward(x, target)
        dtype = working_dtype(x, target)
        return torch.stack([_difference(a, b, dtype).square_().sum() for a, b in zip(x, target, strict=True)]).sum()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        x, target = ctx.saved_tensors
        grads = torch.empty_like(x)
        for grad, a, b in zip(grads, x, target, strict=True):
            grad.copy_(_difference(a, b, slope.dtype).mul_(2 * slope))
        return grads, None


def _difference(x: Tensor, target: Tensor, dtype: torch.dtype) -> Tensor:
    return x.to(dtype) - target.to(dtype)
