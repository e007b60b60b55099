"""The fused dense contrast as one operator of torch: Triton on a GPU, chunks on a CPU, the same interface."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from segdistill.ops import launch as launching
from segdistill.ops.dense_contrast.cells import cut_cells, join_cells
from segdistill.ops.dense_contrast.cpu.chunked import contrast_chunked
from segdistill.ops.precision import without_autocast, working_dtype
from segdistill.ops.unit import length, unit

try:
    from segdistill.ops.dense_contrast import triton as kernels
except ImportError:  # torch comes without Triton on some platforms
    kernels = None  # type: ignore[assignment]


def dense_contrast_fused(
    student: Tensor,
    teacher: Tensor,
    *,
    groups: int,
    patch_size: tuple[int, int],
    temperature: float,
    distance: str,
    negatives: str,
) -> Tensor:
    """Compute what `dense_contrast_reference` computes; nothing of the size S x R x R is held."""
    with_grad = torch.is_grad_enabled() and student.requires_grad
    with without_autocast(student):
        total, _ = contrast_maps(student, teacher, groups, patch_size, temperature, distance, negatives, with_grad)
        mean: Tensor = total / (student.shape[0] * student.shape[2] * student.shape[3])
        return mean


def why_not_fused(student: Tensor, negatives: str, groups: int, patch_size: tuple[int, int]) -> str | None:
    """What keeps the fused form from running, as a sentence; None where nothing does."""
    if student.device.type == "cpu" and not _in_triton(student):
        return None
    if student.device.type not in ("cpu", "cuda"):
        return f"there is none for the device {student.device.type!r}"
    if kernels is None:
        return "Triton is not installed"
    positions = patch_size[0] * patch_size[1]
    cells = {"channel": groups, "spatial": positions}.get(negatives, positions * groups)
    if cells > kernels.MAX_CELLS:
        return f"a patch of {cells} cells is more than the {kernels.MAX_CELLS} that its kernel holds"
    return None


def why_not_launched(student: Tensor) -> str | None:
    """What kept a tiny launch of the kernel from running, as a sentence; None where nothing did."""
    if not _in_triton(student):
        return None
    cells = student.new_zeros(1, 2, 8)
    launch = functools.partial(kernels.contrast_triton, cells, cells, 1.0, "l1", 0, True)
    return launching.why_not_launched("dense contrast", student.device, launch)


# The gradient is made with the value: its pass over the channels needs the distances, which are at hand then. Made
# later, it would have to sum them up again.
@torch.library.custom_op(
    "segdistill::dense_contrast",
    mutates_args=(),
    schema="(Tensor student, Tensor teacher, int groups, int[] patch_size, float temperature, str distance, "
    "str negatives, bool with_grad) -> (Tensor, Tensor)",
)
def contrast_maps(
    student: Tensor,
    teacher: Tensor,
    groups: int,
    patch_size: Sequence[int],
    temperature: float,
    distance: str,
    negatives: str,
    with_grad: bool,
) -> tuple[Tensor, Tensor]:
    """Sum of the cross entropies of all anchors, and its gradient by ``student``, empty unless ``with_grad``.

    Both in the working precision; the maps are tiled by whole patches.
    """
    rows, columns = patch_size
    compute = kernels.contrast_triton if _in_triton(student) else contrast_chunked
    excluded = groups if negatives == "other_groups" else 0
    total, grads = _results(student, teacher, with_grad)
    total.zero_()
    for band in _bands(student, rows):
        cells, others = (cut_cells(x[band], groups, (rows, columns), negatives) for x in (student, teacher))
        if distance == "cosine":
            cells, others = cells.to(total.dtype), others.to(total.dtype)
            lengths = length(cells)
            cells, others = cells / lengths, unit(others)
        value, grad = compute(cells, others, temperature, distance, excluded, with_grad)
        total += value
        if with_grad:
            if distance == "cosine":  # back through the division
                grad = (grad - cells * (cells * grad).sum(-1, keepdim=True)) / lengths
            grads[band] = join_cells(grad, grads[band].shape, (rows, columns))
    return total, grads


@contrast_maps.register_fake
def _(student: Tensor, teacher: Tensor, *args: Any) -> tuple[Tensor, Tensor]:
    return _results(student, teacher, args[-1])


def _results(student: Tensor, teacher: Tensor, with_grad: bool) -> tuple[Tensor, Tensor]:
    dtype = working_dtype(student, teacher)
    grads = torch.empty_like(student if with_grad else student[:0], dtype=dtype)
    return student.new_empty((), dtype=dtype), grads


def _bands(student: Tensor, rows: int) -> Iterator[tuple[slice, ...]]:
    """What is cut into cells at a time: all of it on a GPU; on a CPU, a row of patches, which stays in its cache."""
    if _in_triton(student):
        yield (slice(None),)
        return
    for image in range(len(student)):
        for top in range(0, student.shape[2], rows):
            yield slice(image, image + 1), slice(None), slice(top, top + rows)


def _in_triton(student: Tensor) -> bool:
    return student.device.type == "cuda" or (kernels is not None and launching.interpreted())


def _keep_gradient(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.set_materialize_grads(False)  # else the gradient of the gradient would be a map of zeros
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(output[1])
    ctx.dtype = inputs[0].dtype


@torch.autograd.function.once_differentiable
def _scale_gradient(ctx: Any, slope: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    return None if slope is None else (slope * ctx.saved_tensors[0]).to(ctx.dtype), *[None] * 7


contrast_maps.register_autograd(_scale_gradient, setup_context=_keep_gradient)
