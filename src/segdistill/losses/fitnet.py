"""FitNet: the student's features, projected to the teacher's width, equal the teacher's."""

from typing import ClassVar

from torch import Tensor, nn

from segdistill.losses.common.convolve import convolve
from segdistill.losses.common.pair import matched_pair
from segdistill.ops import check_count, without_autocast


class FitNetLoss(nn.Module):
    r"""Mean squared error of features after a 1x1 convolution of the student's.

    .. math::
        \frac{1}{B C H W} \sum (A(s) - t)^2

    The convolution A, without bias, learns with the student and is thrown away after training.

    Args:
        student_channels: Width of the student's map.
        teacher_channels: Width C of the teacher's map; equal widths get a convolution too.

    Raises:
        ValueError: If a width is not a positive integer.

    Source:
        Romero et al., FitNets: Hints for Thin Deep Nets, ICLR 2015, arXiv 1412.6550, as in the code of CIRKD:
        one stage, trained together with the task; equal in value and gradient.

    Example:
        >>> import torch
        >>> FitNetLoss(8, 32)(torch.rand(2, 8, 6, 6), torch.rand(2, 32, 6, 6)).shape
        torch.Size([])
    """

    on: ClassVar[str] = "features"
    parts: ClassVar[tuple[str, ...]] = ()
    uses_labels: ClassVar[bool] = False
    published: ClassVar[float] = 10.0

    def __init__(self, student_channels: int, teacher_channels: int) -> None:
        super().__init__()
        check_count("student_channels", student_channels)
        check_count("teacher_channels", teacher_channels)
        self.align = nn.Conv2d(student_channels, teacher_channels, 1, bias=False)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare the student's features (B, C, h, w) with the teacher's (B, C', H, W); a scalar.

        Args:
            student: Resized bilinearly to the teacher's size if needed.
            teacher: Treated as constant.

        Raises:
            ValueError: If widths or batches do not fit.
        """
        with without_autocast(teacher):
            student, teacher = matched_pair(student, teacher, self.align.in_channels, self.align.out_channels)
            return (convolve(self.align, student) - teacher).square().mean()
