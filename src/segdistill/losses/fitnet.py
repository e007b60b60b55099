"""FitNet: the student's features, projected to the teacher's width, equal the teacher's."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segdistill.losses.base import DistillationLoss, Maps
from segdistill.losses.common.convolve import convolve
from segdistill.losses.common.pair import map_pairs, matched_pair
from segdistill.ops import check_count, without_autocast
from segdistill.util import ArgumentError


class FitNetLoss(DistillationLoss):
    r"""Mean squared error of features after a 1x1 convolution of the student's.

    .. math::
        \frac{1}{B C H W} \sum (A(s) - t)^2

    The convolution A, without bias, learns with the student and is thrown away after training. Of several layers each
    has a convolution of its own, and the errors are added up.

    Args:
        student_channels: Width of the student's map, or of each of several.
        teacher_channels: Width C of the teacher's map, or of each; equal widths get a convolution too.

    Raises:
        ValueError: If a width is not a positive integer, or one network has more of them.

    Source:
        Romero et al., FitNets: Hints for Thin Deep Nets, ICLR 2015, arXiv 1412.6550, as in the code of CIRKD:
        one stage, trained together with the task; equal in value and gradient.

    Example:
        >>> import torch
        >>> FitNetLoss(8, 32)(torch.rand(2, 8, 6, 6), torch.rand(2, 32, 6, 6)).shape
        torch.Size([])
    """

    title = "FitNet"
    layer = "head"
    several = True
    published = 10.0

    def __init__(self, student_channels: int | Sequence[int], teacher_channels: int | Sequence[int]) -> None:
        super().__init__()
        narrow, wide = _widths("student_channels", student_channels), _widths("teacher_channels", teacher_channels)
        if len(narrow) != len(wide):
            raise ArgumentError(
                "`student_channels` and `teacher_channels` must be as many widths; "
                f"got {student_channels} and {teacher_channels}."
            )
        convolutions = [nn.Conv2d(s, t, 1, bias=False) for s, t in zip(narrow, wide, strict=True)]
        self.align = convolutions[0] if len(convolutions) == 1 else nn.ModuleList(convolutions)

    def forward(self, student: Maps, teacher: Maps) -> Tensor:
        """Compare the student's features (B, C, h, w) with the teacher's (B, C', H, W), or lists of them; a scalar.

        Args:
            student: Resized bilinearly to the teacher's size if needed.
            teacher: Treated as constant.

        Raises:
            ValueError: If widths, batches or the numbers of maps do not fit.
        """
        pairs = map_pairs(student, teacher)
        convolutions = self.align if isinstance(self.align, nn.ModuleList) else [self.align]
        if len(pairs) != len(convolutions):
            raise ArgumentError(
                f"`student` must be as many maps as there are widths; got {len(pairs)} and {len(convolutions)}."
            )
        return torch.stack([_error(*pair, align) for pair, align in zip(pairs, convolutions, strict=True)]).sum()


def _widths(name: str, widths: int | Sequence[int]) -> list[int]:
    found: list[int] = list(widths) if isinstance(widths, Sequence) else [widths]
    for width in found:
        check_count(name, width)
    return found


def _error(student: Tensor, teacher: Tensor, align: nn.Module) -> Tensor:
    assert isinstance(align, nn.Conv2d)
    with without_autocast(teacher):
        student, teacher = matched_pair(student, teacher, align.in_channels, align.out_channels)
        return (convolve(align, student) - teacher).square().mean()
