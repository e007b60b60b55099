"""How near cells are to each other, in operations of torch: shared by the reference and by chunks of a CPU."""

import torch
from torch import Tensor


def similarity(student_SRD: Tensor, teacher_SRD: Tensor, distance: str) -> Tensor:
    """Return (S, R, R): the negative distance of every student cell to every teacher cell of its set."""
    if distance == "l1":
        return -torch.cdist(student_SRD, teacher_SRD, p=1.0)
    if distance == "l2":
        # The matrix-product shortcut loses the digits of small distances between large vectors.
        return -torch.cdist(student_SRD, teacher_SRD, p=2.0, compute_mode="donot_use_mm_for_euclid_dist")
    # 1 - similarity is the distance; the 1 is common to all logits of an anchor and leaves the softmax alone.
    similarity: Tensor = student_SRD @ teacher_SRD.mT
    return similarity
