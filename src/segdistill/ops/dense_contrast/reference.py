"""Dense contrast in plain PyTorch: defines the behaviour, runs everywhere.

Shape letters: B images, C channels, H W space, P patches, N positions of a patch, G channel groups,
D = C / G, R cells that are compared with each other, S such sets.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from segdistill.ops._precision import without_autocast, working_dtype


def dense_contrast_reference(
    student: Tensor,
    teacher: Tensor,
    *,
    groups: int,
    patch_size: tuple[int, int],
    temperature: float,
    distance: str,
    negatives: str,
) -> Tensor:
    """Compute the dense contrast of maps (B, C, H, W) that whole patches tile; arguments are checked already.

    Returns:
        Scalar: the cross entropies of all anchors, summed and divided by B * H * W.
    """
    dtype = working_dtype(student, teacher)
    with without_autocast(student):
        student_SRD = _comparable_cells(student.to(dtype), groups, patch_size, negatives)
        teacher_SRD = _comparable_cells(teacher.to(dtype), groups, patch_size, negatives)
        logits_SRR = _similarity(student_SRD, teacher_SRD, distance) / temperature
        if negatives == "other_groups":
            excluded_RR = _same_group_elsewhere(logits_SRR.shape[-1], groups, logits_SRR.device)
            logits_SRR = logits_SRR.masked_fill(excluded_RR, float("-inf"))
        # log_softmax, not logsumexp - positive: logits reach hundreds, and that difference would lose digits.
        positives_SR = F.log_softmax(logits_SRR, dim=-1).diagonal(dim1=-2, dim2=-1)
        return -positives_SR.sum() / (student.shape[0] * student.shape[2] * student.shape[3])


def _comparable_cells(x: Tensor, groups: int, patch_size: tuple[int, int], negatives: str) -> Tensor:
    """Cut a map into sets (S, R, D) of cells; an anchor's negatives are in its own set."""
    batch, channels, height, width = x.shape
    rows, columns = patch_size
    groups = 1 if negatives == "spatial" else groups
    cells = x.reshape(batch, groups, channels // groups, height // rows, rows, width // columns, columns)
    cells = cells.permute(0, 3, 5, 4, 6, 1, 2)  # B, patch row, patch column, row, column, G, D
    cells_PNGD = cells.flatten(3, 4).flatten(0, 2)
    return cells_PNGD.flatten(0, 1) if negatives == "channel" else cells_PNGD.flatten(1, 2)


def _similarity(student_SRD: Tensor, teacher_SRD: Tensor, distance: str) -> Tensor:
    """Return (S, R, R): the negative distance of every student cell to every teacher cell of its set."""
    if distance == "l1":
        return -torch.cdist(student_SRD, teacher_SRD, p=1.0)
    if distance == "l2":
        # The matrix-product shortcut loses the digits of small distances between large vectors.
        return -torch.cdist(student_SRD, teacher_SRD, p=2.0, compute_mode="donot_use_mm_for_euclid_dist")
    # 1 - similarity is the distance; the 1 is common to all logits of an anchor and leaves the softmax alone.
    similarity: Tensor = _unit(student_SRD) @ _unit(teacher_SRD).mT
    return similarity


def _unit(x: Tensor) -> Tensor:
    """Scale to length 1; a zero vector stays zero, and its gradient is that of the numerator alone."""
    length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / length.masked_fill(length == 0, 1.0)


def _same_group_elsewhere(cells: int, groups: int, device: torch.device) -> Tensor:
    """Return (R, R), true for pairs of one channel group at different positions; cells are group-minor."""
    group_R = torch.arange(cells, device=device) % groups
    same_group_RR = group_R[:, None] == group_R[None, :]
    return same_group_RR.fill_diagonal_(False)
