"""ACAM-KD: match the teacher under soft masks that both networks make together."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segdistill.losses.base import DistillationLoss
from segdistill.losses.common.convolve import convolve
from segdistill.losses.common.dice import dice_overlap
from segdistill.losses.common.pair import matched_pair
from segdistill.ops import check_count, without_autocast


class ACAMTerms(NamedTuple):
    """The three unweighted parts of ACAM-KD.

    Attributes:
        spatial: Scalar, squared error under the masks over positions.
        channel: Scalar, squared error under the masks over channels.
        diversity: Scalar in [0, 2], overlap of the masks: 1 from each kind where all are alike.
    """

    spatial: Tensor
    channel: Tensor
    diversity: Tensor


class ACAMLoss(DistillationLoss):
    r"""Match the teacher's map where several learned masks look, and keep the masks apart.

    Teacher :math:`t` and student :math:`s` are fused by attention: queries from the teacher, keys and values
    from the student, :math:`z = \mathrm{softmax}(Q K^\top / \sqrt{C_q}) V` with :math:`C_q = C / 2`. From the
    fused map come M masks over positions and M over channels, by learned vectors :math:`m^s_k, m^c_k`:

    .. math::
        a_k(x) = \sigma(m^s_k \cdot z(x)), \quad b_k(c) = \sigma(m^c_{kc} \, \bar z_c), \quad
        \bar z = \text{mean of } z \text{ over positions}

    With :math:`e = (t - A(s))^2`, A a 1x1 convolution, ``spatial`` is the mean of e over positions weighted by
    :math:`a_k`, and over all channels; ``channel`` the mean over channels weighted by :math:`b_k`, and over all
    positions; both averaged over masks and images. ``diversity`` is the Dice overlap
    :math:`2 \langle a_k, a_l \rangle / (\|a_k\|^2 + \|a_l\|^2)`, averaged over pairs and images, plus that of b.
    All parameters learn with the student and are thrown away after training.

    Args:
        student_channels: Width of the student's map.
        teacher_channels: Width C of the teacher's map.
        num_masks: M, masks of each kind.

    Raises:
        ValueError: If an option is not a positive integer.

    Note:
        Attention is between all pairs of positions, on all B images. Computed in at least float32 with
        autocast off.

    Source:
        ACAM-KD, ICCV 2025. What our notes of the paper leave open is chosen here: the width C of
        the values, which the masks over channels need; the division by the sum of a mask, without which empty
        masks would be the best ones; the first values of the mask vectors, normal with variance 1 / C
        (:math:`m^s`) and 1 (:math:`m^c`).

    Example:
        >>> loss = ACAMLoss(8, 32, num_masks=4)
        >>> terms = loss(torch.rand(2, 8, 6, 6), torch.rand(2, 32, 6, 6))
        >>> (terms.spatial + terms.channel + terms.diversity).backward()
    """

    title = "ACAM"
    layer = "head"
    parts = ACAMTerms._fields

    def __init__(self, student_channels: int, teacher_channels: int, *, num_masks: int = 19) -> None:
        super().__init__()
        check_count("student_channels", student_channels)
        check_count("teacher_channels", teacher_channels)
        check_count("num_masks", num_masks)
        self.student_channels = student_channels
        self.teacher_channels = teacher_channels
        inner = max(1, teacher_channels // 2)
        self.query = nn.Conv2d(teacher_channels, inner, 1)
        self.key = nn.Conv2d(student_channels, inner, 1)
        self.value = nn.Conv2d(student_channels, teacher_channels, 1)
        self.align = nn.Conv2d(student_channels, teacher_channels, 1)
        self.spatial = nn.Parameter(torch.randn(num_masks, teacher_channels) / teacher_channels**0.5)
        self.channel = nn.Parameter(torch.randn(num_masks, teacher_channels))

    def forward(self, student: Tensor, teacher: Tensor) -> ACAMTerms:
        """Compare the student's map with the teacher's.

        Args:
            student: (B, student_channels, h, w); resized bilinearly to the teacher's size if needed.
            teacher: (B, teacher_channels, H, W), treated as constant.

        Returns:
            ``ACAMTerms(spatial, channel, diversity)``, unweighted.

        Raises:
            ValueError: If a shape does not fit.
        """
        with without_autocast(teacher):
            student, teacher = matched_pair(student, teacher, self.student_channels, self.teacher_channels)
            positions, channels = self._masks(student, teacher)
            error = (teacher - convolve(self.align, student)).square().flatten(2)
            return ACAMTerms(
                _weighted_mean(error.mean(1), positions),
                _weighted_mean(error.mean(2), channels),
                dice_overlap(positions) + dice_overlap(channels),
            )

    def _masks(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Masks over the N positions, (B, M, N), and over the channels, (B, M, C)."""
        maps = convolve(self.query, teacher), convolve(self.key, student), convolve(self.value, student)
        # One head, as the fused kernels want it: (B, 1, N, C).
        query, key, value = (x.flatten(2).mT[:, None] for x in maps)
        fused = F.scaled_dot_product_attention(query, key, value)[:, 0]
        positions = torch.sigmoid(self.spatial.to(fused.dtype) @ fused.mT)
        channels = torch.sigmoid(self.channel.to(fused.dtype) * fused.mean(1, keepdim=True))
        return positions, channels


def _weighted_mean(error: Tensor, masks: Tensor) -> Tensor:
    """Mean of (B, N) under each mask of (B, M, N), averaged over masks and images."""
    weight = masks.sum(-1).clamp_min(torch.finfo(masks.dtype).tiny)
    return ((masks @ error[..., None])[..., 0] / weight).mean()
