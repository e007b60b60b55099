"""Similarities of pixels to keys, compared between two networks in bounded memory."""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

CHUNK = 2**24
"""Similarities held at once, 64 MiB in float32; what is beyond is computed again in the backward pass."""


def relations(
    student: Tensor,
    teacher: Tensor,
    student_keys: Tensor,
    teacher_keys: Tensor,
    *,
    temperature: float,
    count: Tensor | None = None,
) -> Tensor:
    r"""Measure how far the student's similarities to some keys are from the teacher's.

    Each row's products with the keys of a set become probabilities, and the loss is the mean divergence over
    rows i and sets j:

    .. math::
        \frac{1}{N G} \sum_{i,j} \mathrm{KL}(p_{ij} \,\|\, q_{ij}), \quad
        p_{ij} = \mathrm{softmax}(t_i T_j^\top / \tau), \; q_{ij} = \mathrm{softmax}(s_i S_j^\top / \tau)

    Rows are taken in chunks, so that memory does not grow with N times the number of keys.

    Args:
        student: Unit vectors (N, C).
        teacher: Unit vectors (N, C').
        student_keys: G sets of M unit vectors, (G, M, C).
        teacher_keys: (G, M, C').
        temperature: tau.
        count: How many rows the mean is over, a scalar; the others are zero in both networks, and so is their
            divergence. None: all.

    Returns:
        Scalar in nats; zero with a zero gradient if N or ``count`` is 0.

    Example:
        >>> rows, keys = torch.eye(3)[:2], torch.eye(3)[None]
        >>> relations(rows, rows, keys, keys, temperature=0.1).item()
        0.0
    """

    def divergence(student: Tensor, teacher: Tensor) -> Tensor:
        p, q = (
            F.log_softmax(torch.einsum("nc,gmc->ngm", rows, keys) / temperature, dim=-1)
            for rows, keys in ((teacher, teacher_keys), (student, student_keys))
        )
        return F.kl_div(q, p, reduction="sum", log_target=True)

    rows = max(1, CHUNK // (student_keys.shape[0] * student_keys.shape[1]))
    if len(student) <= rows:
        total = divergence(student, teacher)
    else:
        chunks = zip(torch.split(student, rows), torch.split(teacher, rows), strict=True)
        parts = [checkpoint(divergence, *chunk, use_reentrant=False, preserve_rng_state=False) for chunk in chunks]
        total = torch.stack(parts).sum()
    if count is None:
        return total / max(1, len(student) * len(student_keys))
    return total / (count * len(student_keys)).clamp_min(1)
