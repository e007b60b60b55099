"""Squared error on a GPU: one pass over both maps gives the sum and the differences, which are half the gradient.

What is kept for the backward pass are the differences, in the dtype of the map: in bf16 six bytes an element are moved
forward (two maps read, one written) and four backward. Any layout will do as long as it is the same for both maps and
dense, as a sum has no order of its own.

The max-pooling before Af-DCD's contrast reads the same maps and could be part of this pass. It would save four bytes an
element, little beside the convolutions of a step, and cost what this kernel does not have: one form for each layout,
windows cut off at the edges, `max_pool2d`'s rules for ties and for what is not a number, and outputs whose gradient has
to be scattered and added. So it stays a pass of its own.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def"

import torch
import triton
import triton.language as tl
from torch import Tensor

from segdistill.ops.precision import working_dtype

BLOCK = 4096  # elements a program


def squared_error_triton(x: Tensor, target: Tensor, with_grad: bool) -> tuple[Tensor, Tensor]:
    """Sum ``(x - target) ** 2`` in the working precision, one partial sum a program, and keep the differences.

    Args:
        x: Any shape with at least one element, bf16, fp16, fp32 or fp64.
        target: The same shape, any of those dtypes; copied where it is laid out otherwise than ``x``.
        with_grad: Whether to keep the differences.

    Returns:
        The scalar, and ``x - target`` in the dtype of ``x``, laid out like ``torch.empty_like(x)``; empty unless
        ``with_grad``.
    """
    dtype = working_dtype(x, target)
    differences = torch.empty_like(x) if with_grad else x.new_empty(0)
    layout = torch.empty_like(x, device="meta").stride()  # that of `x`, made dense where it is not
    x, target = (m if m.stride() == layout else m.new_empty_strided(m.shape, layout).copy_(m) for m in (x, target))
    programs = triton.cdiv(x.numel(), BLOCK)
    sums = torch.empty(programs, dtype=dtype, device=x.device)
    with torch.cuda.device_of(x):  # type: ignore[no-untyped-call] # Triton launches on the current device
        _squared_error_kernel[(programs,)](
            x, target, differences, sums, x.numel(), WITH_GRAD=with_grad, ACCUMULATOR=_accumulator(dtype), BLOCK=BLOCK
        )
    return sums.sum(), differences


def scaled_triton(differences: Tensor, factor: Tensor) -> Tensor:
    """Multiply by a scalar in its precision; torch would round the scalar to that of the map."""
    result = torch.empty_like(differences)
    with torch.cuda.device_of(differences):  # type: ignore[no-untyped-call]
        _scale_kernel[(triton.cdiv(differences.numel(), BLOCK),)](
            differences, factor, result, differences.numel(), ACCUMULATOR=_accumulator(factor.dtype), BLOCK=BLOCK
        )
    return result


def _accumulator(dtype: torch.dtype) -> tl.dtype:
    return tl.float64 if dtype == torch.float64 else tl.float32


@triton.jit
def _squared_error_kernel(
    x,
    target,
    differences,  # written if WITH_GRAD
    sums,  # one a program, written
    count,  # of elements
    WITH_GRAD: tl.constexpr,
    ACCUMULATOR: tl.constexpr,
    BLOCK: tl.constexpr,
):
    program = tl.program_id(0)
    place = program.to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    present = place < count
    difference = tl.load(x + place, mask=present, other=0.0).to(ACCUMULATOR)
    difference -= tl.load(target + place, mask=present, other=0.0).to(ACCUMULATOR)
    if WITH_GRAD:
        tl.store(differences + place, difference.to(differences.dtype.element_ty), mask=present)
    tl.store(sums + program, tl.sum(difference * difference))


@triton.jit
def _scale_kernel(values, factor, result, count, ACCUMULATOR: tl.constexpr, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    present = place < count
    value = tl.load(values + place, mask=present, other=0.0).to(ACCUMULATOR)
    tl.store(result + place, (value * tl.load(factor)).to(result.dtype.element_ty), mask=present)
