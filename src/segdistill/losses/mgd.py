"""MGD: the student regenerates the teacher's features from a part of its own."""

from typing import get_args

from torch import Tensor

from segdistill.losses.common.directions import Basis
from segdistill.losses.common.generator import GeneratorName, Mask, MaskedGeneration, Reduction
from segdistill.ops import Impl, check_choice


class MGDLoss(MaskedGeneration):
    r"""Masked generative distillation: the ``mimic`` part of Af-DCD, alone.

    The student's map is projected to the teacher's width by a 1x1 convolution A, positions are hidden by a mask
    m, and a generator G restores the whole map; hidden and visible positions count alike:

    .. math::
        \frac{1}{B} \sum (G(m \cdot A(s)) - t)^2

    Projection and generator learn with the student and are thrown away after training.

    Args:
        student_channels: Width of the student's map.
        teacher_channels: Width C of the teacher's map; equal widths get a projection too.
        mask_ratio: Share of positions that the random mask hides, in [0, 1); others do not read it.
        mask: ``"random"`` (fresh at every call, also in evaluation mode), ``"centre"`` (the middle ninth is
            hidden) or ``"none"``.
        generator: ``"plain"`` (two 3x3 convolutions) or ``"enhanced"`` (four).
        reduction: ``"paper"``: the sum over C * H * W, as published. ``"mean"``: their mean, so that the weight
            carries over between crops and widths.
        width: Number of directions of the teacher's map that everything works in, below ``teacher_channels``. None: all
            its channels, as published.
        basis: ``"pca"``: the principal directions, fitted before the training; ``"random"``: drawn. See `Directions`.
        impl: ``"reference"``: as the formula says. ``"fused"``: projection, mask and first convolution as one, and the
            error image by image, which run everywhere. ``"auto"``: the form that suits sizes and device; the log says
            what it chose. The generator's further convolutions choose by themselves. The same numbers in all.

    Raises:
        ValueError: If a name is unknown or a number out of range.

    Note:
        The plain generator has 18 C^2 weights and takes most of the time, as in `AfDCDLoss`.

    Source:
        Yang et al., Masked Generative Distillation, ECCV 2022, arXiv 2205.01529. The authors' code has no
        projection where widths are equal, and adds a loss on logits in some configurations: see `CWDLoss`.

    Example:
        >>> import torch
        >>> loss = MGDLoss(8, 32, reduction="mean")
        >>> loss(torch.rand(2, 8, 10, 12), torch.rand(2, 32, 10, 12)).backward()
    """

    title = "MGD"
    layer = "layer4"

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        *,
        mask_ratio: float = 0.75,
        mask: Mask = "random",
        generator: GeneratorName = "plain",
        reduction: Reduction = "paper",
        width: int | None = None,
        basis: Basis = "pca",
        impl: Impl = "auto",
    ) -> None:
        check_choice("reduction", reduction, get_args(Reduction))
        super().__init__(
            student_channels, teacher_channels, mask=mask, mask_ratio=mask_ratio, generator=generator, width=width,
            basis=basis, impl=impl,
        )  # fmt: skip
        self.reduction: Reduction = reduction

    @property
    def published(self) -> float:
        """Weight of the authors' segmentation runs, re-expressed where ``reduction="mean"``."""
        return 2e-5 if self.reduction == "paper" else 167.8

    def forward(self, student_features: Tensor, teacher_features: Tensor, *, keep: Tensor | None = None) -> Tensor:
        """Compare the regenerated map with the teacher's; a scalar.

        Args:
            student_features: (B, student_channels, h, w); resized bilinearly to the teacher's size if needed.
            teacher_features: (B, teacher_channels, H, W), or its ``width`` directions; treated as a constant.
            keep: (B, 1, H, W) of 0 and 1, or bool; 1 where the student stays visible. Replaces the mask.

        Raises:
            ValueError: If a shape does not fit.
        """
        return self.mimic(*self.regenerate(student_features, teacher_features, keep), self.reduction)
