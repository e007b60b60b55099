"""Squared error image by image, on any device: differences are not kept, the backward pass makes them again."""

from typing import Any

import torch
from torch import Tensor

from segdistill.ops.precision import working_dtype


def squared_error_fused(x: Tensor, target: Tensor) -> Tensor:
    """Compute what `squared_error_reference` computes, holding one image's differences at a time."""
    total: Tensor = _SquaredError.apply(x, target)
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
