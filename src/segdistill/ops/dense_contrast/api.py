"""Dense contrast: checks the arguments, chooses the implementation, calls it."""

import functools
import logging
from collections.abc import Sequence

from torch import Tensor

from segdistill.ops.checks import check_map, check_together
from segdistill.ops.dense_contrast.fused import dense_contrast_fused, why_not_fused, why_not_launched
from segdistill.ops.dense_contrast.options import Distance, Negatives, check_options
from segdistill.ops.dense_contrast.reference import dense_contrast_reference
from segdistill.ops.impl import Impl, take_fused
from segdistill.ops.launch import warn_slow
from segdistill.ops.precision import working_dtype
from segdistill.util import ArgumentError

_logger = logging.getLogger(__name__)


def dense_contrast(
    student: Tensor,
    teacher: Tensor,
    *,
    groups: int = 16,
    patch_size: Sequence[int] = (4, 4),
    temperature: float = 0.07,
    distance: Distance = "l1",
    negatives: Negatives = "other_groups",
    impl: Impl = "auto",
) -> Tensor:
    r"""Tell every cell of the student which cell of the teacher it should be nearest to.

    Both maps are cut into patches of N positions, and the channels into G contiguous groups: a patch holds
    N * G cells of C / G numbers. Anchor is a student cell, positive the teacher's cell at the same place,
    negatives are other teacher cells of the same patch. The value is at least 0 and approaches it where
    each student cell is much nearer to its own teacher cell than to the others; no augmented view and no
    memory is involved. With :math:`d` the distance and :math:`\tau` the temperature:

    .. math::
        \frac{1}{B H' W'} \sum_a -\log
        \frac{e^{-d(s_a, t_a) / \tau}}{e^{-d(s_a, t_a) / \tau} + \sum_{u \in N(a)} e^{-d(s_a, t_u) / \tau}}

    where H', W' is the largest top-left part of the map that whole patches tile; the rest does not count.
    It is a mean over positions and a **sum over groups**.

    Args:
        student: Map (B, C, H, W), any floating dtype.
        teacher: Map of the same shape; treated as a constant.
        groups: Number of channel groups G; divides C. Without effect where ``negatives="spatial"``.
        patch_size: Height and width of a patch, in cells of the map.
        temperature: Divides the distances; above 0. Its unit is that of the distance.
        distance: ``"l1"`` (sum of absolute differences), ``"l2"`` (Euclidean, not squared) or ``"cosine"``
            (1 - cosine similarity; a zero vector has similarity 0 with everything).
        negatives: ``"other_groups"`` (other channel groups, every position of the patch: N (G - 1)),
            ``"omni"`` (every other cell of the patch: N G - 1), ``"channel"`` (other groups of the same
            position: G - 1) or ``"spatial"`` (cells are whole C-vectors, other positions: N - 1).
        impl: ``"reference"``: plain PyTorch. ``"fused"``: the same numbers in less time, without holding distances:
            a Triton kernel on a GPU (on a CPU too, in Triton's interpreter, where ``TRITON_INTERPRET=1``), chunks
            on a CPU, compiled where a C++ compiler is found. ``"auto"``: ``"fused"`` where it runs, else
            ``"reference"``; the log says which.

    Returns:
        Scalar in nats, float32 or more; a zero with a graph, and one logged warning for each map size,
        where no whole patch fits.

    Raises:
        ValueError: If shapes, names or numbers do not fit, or if no cell would have a negative.
        RuntimeError: If ``impl="fused"`` and it cannot run here: an explicit request never falls back.

    Note:
        Computed in at least float32 with autocast off. With ``other_groups`` and ``omni`` the reference holds
        B H' W' N G^2 distances, and its backward pass on a GPU C / G times that (``torch.cdist``). The fused form
        holds the student's gradient, as large as the map, from the forward pass on; it has no second derivative.

    Source:
        Af-DCD, NeurIPS 2023, arXiv 2312.04168. ``other_groups`` with ``l1`` is what the authors' code
        computes, factor 1. ``omni``, ``channel`` and ``spatial`` follow the paper's figure; the authors
        published no code for them.

    Example:
        >>> import torch
        >>> maps = torch.rand(2, 32, 9, 8)
        >>> dense_contrast(maps, maps.flip(0), groups=8).shape
        torch.Size([])
    """
    check_map("student", student)
    check_map("teacher", teacher)
    check_together(student, teacher)
    if student.shape != teacher.shape:
        raise ArgumentError(
            f"`teacher` must have the shape of `student`; got {tuple(teacher.shape)} and "
            f"{tuple(student.shape)}. Project and resize the student first."
        )
    patch_size = check_options(
        student.shape[1],
        groups,
        patch_size,
        temperature=temperature,
        distance=distance,
        negatives=negatives,
        impl=impl,
    )
    height, width = (size // patch * patch for size, patch in zip(student.shape[2:], patch_size, strict=True))
    if height == 0 or width == 0:
        _warn_no_patch((student.shape[2], student.shape[3]), patch_size)
        return student.flatten()[:0].sum(dtype=working_dtype(student, teacher))
    if (height, width) != student.shape[2:]:  # a slice of the whole would cost its gradient two copies
        student, teacher = student[..., :height, :width], teacher[..., :height, :width]
    obstacle = why_not_fused(student, negatives, groups, patch_size)
    if obstacle is None and impl != "reference" and (obstacle := why_not_launched(student)) and impl == "auto":
        warn_slow("The dense contrast is computed by its reference, slower and in far more memory", obstacle)
    fused = take_fused("dense contrast", impl, student.device, obstacle=obstacle)
    return (dense_contrast_fused if fused else dense_contrast_reference)(
        student,
        teacher.detach(),
        groups=groups,
        patch_size=patch_size,
        temperature=temperature,
        distance=distance,
        negatives=negatives,
    )


@functools.cache  # a data set with small crops must not fill the log
def _warn_no_patch(size: tuple[int, int], patch_size: tuple[int, int]) -> None:
    _logger.warning(
        "No patch of %dx%d fits into a map of %dx%d: the contrast is zero there. "
        "Use larger crops, a smaller `patch_size` or a smaller `pool_size`.",
        *patch_size,
        *size,
    )
