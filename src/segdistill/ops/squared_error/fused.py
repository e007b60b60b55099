"""Squared error without holding differences in float32: one Triton kernel on a GPU, image by image elsewhere."""

import functools
from typing import Any

import torch
from torch import Tensor

from segdistill.ops import launch as launching
from segdistill.ops.precision import working_dtype

try:
    from segdistill.ops.squared_error import triton as kernels
except ImportError:  # torch comes without Triton on some platforms
    kernels = None  # type: ignore[assignment]


def squared_error_fused(x: Tensor, target: Tensor) -> Tensor:
    """Compute what `squared_error_reference` computes: by the kernel where Triton runs, else image by image."""
    if not _in_triton(x):
        return squared_error_by_image(x, target)
    tiny = x.new_zeros(1)
    obstacle = launching.why_not_launched(
        "squared error", x.device, functools.partial(kernels.squared_error_triton, tiny, tiny, True)
    )
    if obstacle is not None:
        launching.warn_slow("The squared error is computed image by image, in many launches", obstacle)
        return squared_error_by_image(x, target)
    total: Tensor = squared_error_and_differences(x, target, torch.is_grad_enabled() and x.requires_grad)[0]
    return total


def _in_triton(x: Tensor) -> bool:
    return kernels is not None and (x.device.type == "cuda" or (x.device.type == "cpu" and launching.interpreted()))


@torch.library.custom_op(
    "segdistill::squared_error",
    mutates_args=(),
    schema="(Tensor x, Tensor target, bool with_grad) -> (Tensor, Tensor)",
)
def squared_error_and_differences(x: Tensor, target: Tensor, with_grad: bool) -> tuple[Tensor, Tensor]:
    """What `triton.squared_error_triton` computes, as an operator of torch."""
    return kernels.squared_error_triton(x, target, with_grad)


@squared_error_and_differences.register_fake
def _(x: Tensor, target: Tensor, with_grad: bool) -> tuple[Tensor, Tensor]:
    differences = torch.empty_like(x) if with_grad else x.new_empty(0)
    return x.new_empty((), dtype=working_dtype(x, target)), differences


@torch.library.custom_op("segdistill::scaled", mutates_args=(), schema="(Tensor differences, Tensor factor) -> Tensor")
def scaled(differences: Tensor, factor: Tensor) -> Tensor:
    """What `triton.scaled_triton` computes, as an operator of torch."""
    return kernels.scaled_triton(differences, factor)


@scaled.register_fake
def _(differences: Tensor, factor: Tensor) -> Tensor:
    return torch.empty_like(differences)


def _keep_differences(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.set_materialize_grads(False)  # else the gradient of the differences would be a map of zeros
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(output[1])


@torch.autograd.function.once_differentiable
def _scale_differences(ctx: Any, slope: Tensor | None, _: None) -> tuple[Tensor | None, None, None]:
    return None if slope is None else scaled(ctx.saved_tensors[0], 2 * slope), None, None


squared_error_and_differences.register_autograd(_scale_differences, setup_context=_keep_differences)


def squared_error_by_image(x: Tensor, target: Tensor) -> Tensor:
    """Sum one image's squares at a time, on any device; the backward pass makes the differences again."""
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
