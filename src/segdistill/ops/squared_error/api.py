"""Squared error of two maps: checks the arguments, chooses the implementation, calls it."""

from torch import Tensor

from segdistill.ops.impl import Impl, check_impl, take_fused
from segdistill.ops.squared_error.fused import squared_error_fused
from segdistill.ops.squared_error.reference import squared_error_reference
from segdistill.util import ArgumentError


def squared_error(x: Tensor, target: Tensor, *, impl: Impl = "auto") -> Tensor:
    """Sum of ``(x - target) ** 2`` in float32 or more; ``target`` is a constant.

    Args:
        x: (B, ...), any floating dtype.
        target: The same shape.
        impl: ``"reference"`` keeps the difference of the whole batch for the backward pass, in float32 also where the
            maps are not. ``"fused"``: on a GPU one Triton kernel in one pass, which keeps the differences in the dtype
            of ``x``, so that a gradient in half precision is rounded once more; without Triton, and on every other
            device, one image at a time, whose differences the backward pass makes again. It runs on every device, so
            ``"auto"`` takes it; it has no second derivative. A GPU on which Triton cannot be launched gets one warning.

    Raises:
        ValueError: If the shapes differ or ``impl`` is unknown.
    """
    check_impl(impl)
    if x.shape != target.shape or x.ndim == 0 or len(x) == 0:
        raise ArgumentError(
            "`target` must have the shape of `x`, (B, ...) with at least one image; "
            f"got {tuple(target.shape)} and {tuple(x.shape)}."
        )
    fused = take_fused("squared error", impl, x.device, obstacle=None)
    return (squared_error_fused if fused else squared_error_reference)(x, target.detach())
