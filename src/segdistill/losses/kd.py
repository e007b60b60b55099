"""Logits distillation: the student's class probabilities follow the teacher's, pixel by pixel."""

import torch
from torch import Tensor
from torch.nn import functional as F

from segdistill.losses.base import DistillationLoss
from segdistill.losses.common.pair import matched_pair
from segdistill.losses.common.resize import match_labels, match_weight
from segdistill.ops import check_positive, without_autocast
from segdistill.types import IGNORE_INDEX
from segdistill.util import ArgumentError

EPS = 1e-6
"""Least sum of weights that is divided by."""


def kd(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor | None = None,
    *,
    temperature: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    r"""Measure how far the student's class probabilities are from the teacher's.

    The Kullback-Leibler divergence of softened probabilities, averaged over pixels; zero exactly where
    both agree, and blind to a constant added to all logits of a pixel:

    .. math::
        \frac{T^2}{n} \sum_i \mathrm{KL}(p_i \,\|\, q_i), \quad
        p = \mathrm{softmax}(t / T), \; q = \mathrm{softmax}(s / T)

    Args:
        student: Logits (B, K, h, w), resized bilinearly to the teacher's size if needed.
        teacher: Logits (B, K, H, W), treated as constant.
        labels: (B, H', W') integers, resized by nearest neighbour; pixels of ``IGNORE_INDEX`` do not count.
            None: every pixel counts.
        temperature: T, above 0. Larger values weigh the unlikely classes more.
        weight: (B, H', W') in [0, 1], resized bilinearly: how much each pixel counts in the mean. None: all alike.

    Returns:
        Scalar in nats, float32 or more; zero with a zero gradient where no pixel counts.

    Raises:
        ValueError: If classes, batches or the shape of the labels differ, or T is not positive.

    Source:
        Hinton et al. 2015. With T = 1 and no labels it equals the logits loss of the authors of Af-DCD,
        which counts ignored pixels and padded borders too.

    Example:
        >>> logits = torch.randn(2, 19, 8, 8)
        >>> abs(kd(logits, logits + 1).item()) < 1e-6
        True
    """
    check_positive("temperature", temperature)
    with without_autocast(teacher):
        student, teacher = matched_pair(student, teacher)
        if student.shape[1] != teacher.shape[1]:
            raise ArgumentError(
                f"`teacher` must have the classes of `student`; got {teacher.shape[1]} and {student.shape[1]}. "
                "Logits can be distilled only between networks with one class table; distil features instead."
            )
        divergence = F.kl_div(
            F.log_softmax(student / temperature, dim=1),
            F.softmax(teacher / temperature, dim=1),
            reduction="none",
        ).sum(dim=1)
        counts = None if labels is None else match_labels(labels, teacher) != IGNORE_INDEX
        if weight is not None:
            weights = match_weight(weight, teacher)
            weights = weights if counts is None else weights * counts
            # Where nothing counts, what is there may be infinite.
            total = torch.where(weights > 0, weights * divergence, 0.0).sum()
            return total / weights.sum().clamp_min(EPS) * temperature**2
        if counts is None:
            return divergence.mean() * temperature**2
        return torch.where(counts, divergence, 0.0).sum() / counts.sum().clamp_min(1) * temperature**2


class KDLoss(DistillationLoss):
    """Logits distillation as a module; the formula is that of :func:`kd`.

    Args:
        temperature: Softens both distributions; above 0.
        labelled_only: Count only pixels whose label is not ``IGNORE_INDEX``. By default all count, as the
            teacher has an opinion on each.

    Raises:
        ValueError: If the temperature is not positive.

    Example:
        >>> loss = KDLoss(temperature=4.0)
        >>> loss(torch.randn(1, 5, 4, 4), torch.randn(1, 5, 4, 4)).shape
        torch.Size([])
    """

    title = "KD"
    layer = "logits"
    weighs_pixels = True
    published = 1.0
    beside = ()

    def __init__(self, temperature: float = 1.0, labelled_only: bool = False) -> None:
        super().__init__()
        check_positive("temperature", temperature)
        self.temperature = temperature
        self.labelled_only = labelled_only

    @property
    def uses_labels(self) -> bool:
        """Whether ``forward`` needs the labels."""
        return self.labelled_only

    def forward(
        self, student: Tensor, teacher: Tensor, labels: Tensor | None = None, *, weight: Tensor | None = None
    ) -> Tensor:
        """Return the divergence of the student's logits (B, K, h, w) from the teacher's, a scalar.

        Args:
            student: Logits of the student.
            teacher: Logits of the teacher, same classes.
            labels: (B, H, W); read only where ``labelled_only``.
            weight: (B, H, W) in [0, 1], how much each pixel counts; None: all alike.

        Raises:
            ValueError: If shapes do not fit, or labels are needed and missing.
        """
        if self.labelled_only and labels is None:
            raise ArgumentError("`labels` must be given where `labelled_only` is set; got None.")
        read = labels if self.labelled_only else None
        return kd(student, teacher, read, temperature=self.temperature, weight=weight)
