"""Squared error in plain PyTorch: defines it."""

from torch import Tensor

from segdistill.ops.precision import working_dtype


def squared_error_reference(x: Tensor, target: Tensor) -> Tensor:
    """Sum of the squared differences; they are held for the whole batch."""
    dtype = working_dtype(x, target)
    return (x.to(dtype) - target.to(dtype)).square().sum()
