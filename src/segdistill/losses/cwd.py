"""CWD: the student puts the activation of every channel where the teacher puts it."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segdistill.losses.base import DistillationLoss
from segdistill.losses.common.convolve import convolve
from segdistill.losses.common.pair import check_same_channels, matched_pair
from segdistill.losses.common.resize import match_weight
from segdistill.ops import check_count, check_positive, without_autocast
from segdistill.util import ArgumentError

TINY = 1e-30
"""Weight of a position that does not count: its logarithm is finite."""


def cwd(student: Tensor, teacher: Tensor, *, temperature: float = 4.0, weight: Tensor | None = None) -> Tensor:
    r"""Measure how far each channel's distribution over positions is from the teacher's.

    A softmax over the positions of a channel says where its activation lies. The Kullback-Leibler divergence
    of these distributions, averaged over images and channels, is blind to a constant added to a channel:

    .. math::
        \frac{T^2}{B C} \sum_{b,c} \mathrm{KL}(p_{bc} \,\|\, q_{bc}), \quad
        p_{bc} = \mathrm{softmax}_{hw}(t_{bc} / T), \; q_{bc} = \mathrm{softmax}_{hw}(s_{bc} / T)

    Args:
        student: Logits or features (B, C, h, w), resized bilinearly to the teacher's size if needed.
        teacher: The same channels, (B, C, H, W), treated as constant.
        temperature: T, above 0. Larger values spread a channel over more positions.
        weight: (B, H', W') in [0, 1], resized bilinearly: how much each position counts. Both distributions are then
            ``p_i = w_i exp(t_i / T) / sum_j w_j exp(t_j / T)``, and images where no position counts are left out of
            the mean. None: all alike, as published.

    Returns:
        Scalar in nats, float32 or more; zero where no position counts.

    Raises:
        ValueError: If channels or batches differ, or T is not positive.

    Source:
        Shu et al., Channel-wise Knowledge Distillation for Dense Prediction, ICCV 2021, arXiv 2011.13256. On
        logits it equals the code of CIRKD; for features see :class:`CWDLoss`.

    Example:
        >>> import torch
        >>> maps = torch.randn(2, 19, 8, 8)
        >>> abs(cwd(maps, maps + 1).item()) < 1e-6
        True
    """
    check_positive("temperature", temperature)
    with without_autocast(teacher):
        student, teacher = matched_pair(student, teacher)
        check_same_channels(student, teacher, "Use `CWDLoss` with both widths, which aligns them.")
        mapped, wanted = (maps.flatten(2) / temperature for maps in (student, teacher))
        count: Tensor | int = len(teacher)
        if weight is not None:
            weights = match_weight(weight, teacher).flatten(1)[:, None]
            mapped, wanted = (
                torch.where(weights > 0, maps, 0.0) + weights.clamp_min(TINY).log() for maps in (mapped, wanted)
            )
            count = (weights > 0).any(dim=2).sum().clamp_min(1)
        divergence = F.kl_div(
            F.log_softmax(mapped, dim=2), F.log_softmax(wanted, dim=2), reduction="sum", log_target=True
        )
        return divergence * temperature**2 / (count * teacher.shape[1])


class CWDLoss(DistillationLoss):
    """Channel-wise distillation as a module; the formula is that of :func:`cwd`.

    Maps of different widths, such as features, are made comparable by a 1x1 convolution of the student's,
    without bias, which learns with the student.

    Args:
        student_channels: Width of the student's map. None, with ``teacher_channels`` None: equal widths.
        teacher_channels: Width of the teacher's map.
        temperature: T, above 0.
        align: Whether to convolve. None: only where the widths differ.
        paper: Divide by the width of the student's map before the convolution, as the code of CIRKD does,
            where the channels summed over are the teacher's: ``teacher_channels / student_channels`` times
            the right value. It makes no difference on logits.

    Raises:
        ValueError: If only one width is given, widths differ and ``align`` is False, ``align`` is True without
            widths, or the temperature is not positive.

    Note:
        The published weights are 3 on logits, which is ``published``, and 50 on features with ``paper=True``.

    Example:
        >>> import torch
        >>> CWDLoss()(torch.randn(1, 5, 4, 4), torch.randn(1, 5, 4, 4)).shape
        torch.Size([])
        >>> loss = CWDLoss(8, 32)
        >>> loss(torch.randn(1, 8, 4, 4), torch.randn(1, 32, 4, 4)).backward()
        >>> loss.align.weight.grad.shape
        torch.Size([32, 8, 1, 1])
    """

    title = "CWD"
    layer = "logits"
    weighs_pixels = True
    published = 3.0
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"features": {"layer": "head", "weight": 50.0}}

    def __init__(
        self,
        student_channels: int | None = None,
        teacher_channels: int | None = None,
        *,
        temperature: float = 4.0,
        align: bool | None = None,
        paper: bool = False,
    ) -> None:
        super().__init__()
        check_positive("temperature", temperature)
        self.student_channels = student_channels
        self.teacher_channels = teacher_channels
        self.temperature = temperature
        self.paper = paper
        self.align = self._make_align(student_channels, teacher_channels, align)

    @staticmethod
    def _make_align(student_channels: int | None, teacher_channels: int | None, align: bool | None) -> nn.Conv2d | None:
        if student_channels is None or teacher_channels is None:
            if student_channels is not teacher_channels or align:
                raise ArgumentError(
                    "`student_channels` and `teacher_channels` must both be given to align widths, or neither; "
                    f"got {student_channels}, {teacher_channels} and align={align}."
                )
            return None
        check_count("student_channels", student_channels)
        check_count("teacher_channels", teacher_channels)
        if align is False and student_channels != teacher_channels:
            raise ArgumentError(
                f"`align` must not be False where widths differ; got {student_channels} and {teacher_channels}."
            )
        if align or student_channels != teacher_channels:
            return nn.Conv2d(student_channels, teacher_channels, 1, bias=False)
        return None

    def forward(self, student: Tensor, teacher: Tensor, *, weight: Tensor | None = None) -> Tensor:
        """Compare the student's map (B, C, h, w) with the teacher's (B, C', H, W); a scalar.

        Args:
            student: Map of the student.
            teacher: Map of the teacher.
            weight: (B, H, W) in [0, 1], how much each position counts; None: all alike.

        Raises:
            ValueError: If batches or channels do not fit.
        """
        with without_autocast(teacher):
            student, teacher = matched_pair(student, teacher, self.student_channels, self.teacher_channels)
            aligned = student if self.align is None else convolve(self.align, student)
            value = cwd(aligned, teacher, temperature=self.temperature, weight=weight)
        return value * (teacher.shape[1] / student.shape[1]) if self.paper else value
