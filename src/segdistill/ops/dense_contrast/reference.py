"""Dense contrast in plain PyTorch: defines the behaviour, runs everywhere. Shape letters: see ``cells``."""

from torch import Tensor
from torch.nn import functional as F

from segdistill.ops.dense_contrast.cells import cut_cells, same_group_elsewhere
from segdistill.ops.dense_contrast.similarity import similarity
from segdistill.ops.precision import without_autocast, working_dtype
from segdistill.ops.unit import unit


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
        student_SRD = cut_cells(student.to(dtype), groups, patch_size, negatives)
        teacher_SRD = cut_cells(teacher.to(dtype), groups, patch_size, negatives)
        if distance == "cosine":
            student_SRD, teacher_SRD = unit(student_SRD), unit(teacher_SRD)
        excluded = groups if negatives == "other_groups" else 0
        total = contrast_of_sets(student_SRD, teacher_SRD, temperature, distance, excluded)
        return total / (student.shape[0] * student.shape[2] * student.shape[3])


def contrast_of_sets(
    student_SRD: Tensor, teacher_SRD: Tensor, temperature: float, distance: str, groups: int
) -> Tensor:
    """Sum the cross entropies of all anchors.

    Args:
        student_SRD: Anchors; of length 1 for ``"cosine"``.
        teacher_SRD: The cell at the anchor's place is its positive, the others of its set its negatives.
        temperature: Divides the distances.
        distance: ``"l1"``, ``"l2"`` or ``"cosine"``.
        groups: Number of channel groups whose own cells are no negatives; 0: every other cell is one.
    """
    logits_SRR = similarity(student_SRD, teacher_SRD, distance) / temperature
    if groups:
        excluded_RR = same_group_elsewhere(logits_SRR.shape[-1], groups, logits_SRR.device)
        logits_SRR = logits_SRR.masked_fill(excluded_RR, float("-inf"))
    # log_softmax, not logsumexp - positive: logits reach hundreds, and that difference would lose digits.
    return -F.log_softmax(logits_SRR, dim=-1).diagonal(dim1=-2, dim2=-1).sum()
