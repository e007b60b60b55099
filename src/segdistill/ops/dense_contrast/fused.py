"""The fused dense contrast as one operator of torch: Triton on a GPU, chunks on a CPU, the same interface."""

from typing import Any

import torch
from torch import Tensor

from segdistill.ops._precision import without_autocast, working_dtype
from segdistill.ops._unit import unit
from segdistill.ops.dense_contrast.cells import cut_cells
from segdistill.ops.dense_contrast.chunked import contrast_chunked

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
    """Compute what `dense_contrast_reference` computes; nothing of the size S x R x R is kept."""
    with without_autocast(student):
        student_SRD = cut_cells(student, groups, patch_size, negatives)
        teacher_SRD = cut_cells(teacher, groups, patch_size, negatives)
        if distance == "cosine":
            dtype = working_dtype(student, teacher)
            student_SRD, teacher_SRD = unit(student_SRD.to(dtype)), unit(teacher_SRD.to(dtype))
        total, _ = contrast_sets(
            student_SRD,
            teacher_SRD,
            temperature,
            distance,
            groups if negatives == "other_groups" else 0,
            torch.is_grad_enabled() and student.requires_grad,
        )
        mean: Tensor = total / (student.shape[0] * student.shape[2] * student.shape[3])
        return mean


def why_not_fused(student: Tensor, negatives: str, groups: int, patch_size: tuple[int, int]) -> str | None:
    """What keeps the fused form from running, as the end of a sentence; None where nothing does."""
    if student.device.type == "cpu" and (kernels is None or not kernels.interpreted()):
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


# The gradient is made with the value: its second pass over the channels needs the distances of the first, which are
# in registers then. Made later, it would have to sum them up again.
@torch.library.custom_op(
    "segdistill::dense_contrast_sets",
    mutates_args=(),
    schema="(Tensor student, Tensor teacher, float temperature, str distance, int groups, bool with_grad)"
    " -> (Tensor, Tensor)",
)
def contrast_sets(
    student_SRD: Tensor, teacher_SRD: Tensor, temperature: float, distance: str, groups: int, with_grad: bool
) -> tuple[Tensor, Tensor]:
    """Value and student's gradient of `reference.contrast_of_sets`; the gradient is empty unless ``with_grad``."""
    if student_SRD.device.type == "cuda" or (kernels is not None and kernels.interpreted()):
        return kernels.contrast_triton(student_SRD, teacher_SRD, temperature, distance, groups, with_grad)
    return contrast_chunked(student_SRD, teacher_SRD, temperature, distance, groups, with_grad)


@contrast_sets.register_fake
def _(
    student_SRD: Tensor, teacher_SRD: Tensor, temperature: float, distance: str, groups: int, with_grad: bool
) -> tuple[Tensor, Tensor]:
    dtype = working_dtype(student_SRD, teacher_SRD)
    grads = student_SRD.new_empty(student_SRD.shape if with_grad else (0,), dtype=dtype)
    return student_SRD.new_empty((), dtype=dtype), grads


def _keep_gradient(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(output[1])
    ctx.dtype = inputs[0].dtype


def _scale_gradient(ctx: Any, slope: Tensor, _: None) -> tuple[Tensor | None, ...]:
    return (slope * ctx.saved_tensors[0]).to(ctx.dtype), None, None, None, None, None


contrast_sets.register_autograd(_scale_gradient, setup_context=_keep_gradient)
