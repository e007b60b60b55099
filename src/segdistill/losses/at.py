"""AT: the student attends to the positions that the teacher attends to."""

import torch
from torch import Tensor

from segdistill.losses.base import DistillationLoss, Maps
from segdistill.losses.common.pair import map_pairs, matched_pair
from segdistill.ops import unit, without_autocast


def attention_map(features: Tensor) -> Tensor:
    """Share of each position in the energy of a map, as unit vectors over the positions.

    Args:
        features: (B, C, h, w).

    Returns:
        (B, h * w): the mean over channels of the squares, divided by its length. Zero for a map of zeros.

    Example:
        >>> import torch
        >>> attention_map(torch.tensor([[[[1.0, 2.0]], [[-1.0, 0.0]]]]))
        tensor([[0.4472, 0.8944]])
    """
    return unit(features.square().mean(1).flatten(1))


def at(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Compare where two maps have their energy; blind to its amount and to their widths.

    .. math::
        \frac{1}{B H W} \sum_{b,x} (a(s)_{bx} - a(t)_{bx})^2, \quad
        a(f) = \frac{\sum_c f_c^2}{\lVert \sum_c f_c^2 \rVert_2}

    Args:
        student: Features (B, C, h, w), resized bilinearly to the teacher's size if needed.
        teacher: Features (B, C', H, W) of any width, treated as constant.

    Returns:
        Scalar, float32 or more, between 0 and 2 / (H * W): hence the large published weight.

    Raises:
        ValueError: If a tensor is no map, or batches differ.

    Source:
        Zagoruyko & Komodakis, Paying More Attention to Attention, ICLR 2017, arXiv 1612.03928, as in the code
        of CIRKD: equal in value and gradient.

    Example:
        >>> import torch
        >>> features = torch.rand(2, 8, 6, 6)
        >>> at(3 * features, features) < 1e-12
        tensor(True)
    """
    with without_autocast(teacher):
        student, teacher = matched_pair(student, teacher)
        return (attention_map(student) - attention_map(teacher)).square().mean()


class ATLoss(DistillationLoss):
    """Attention transfer as a module: :func:`at`, added up over the layers that it reads.

    Example:
        >>> import torch
        >>> ATLoss()(torch.rand(2, 8, 6, 6), torch.rand(2, 32, 6, 6)).shape
        torch.Size([])
    """

    title = "AT"
    layer = "head"
    several = True
    published = 1e4

    def forward(self, student: Maps, teacher: Maps) -> Tensor:
        """Compare features (B, C, h, w) and (B, C', H, W), or as many of the teacher's as of the student's; a scalar.

        Raises:
            ValueError: If a tensor is no map, or the batches or the numbers of maps differ.
        """
        return torch.stack([at(*pair) for pair in map_pairs(student, teacher)]).sum()
