"""Af-DCD: masked feature mimicking and dense contrast, without augmentation and without a memory bank."""

from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segdistill.losses._generator import GENERATORS, GeneratorName, Mask, convolve, draw_keep
from segdistill.losses._resize import match_size
from segdistill.ops._checks import check_choice, check_count, check_map, check_ratio, check_together
from segdistill.ops._precision import without_autocast, working_dtype
from segdistill.ops.dense_contrast.api import Distance, Impl, Negatives, check_options, dense_contrast

Reduction = Literal["paper", "mean"]


class AfDCDTerms(NamedTuple):
    """The two unweighted parts of Af-DCD.

    Attributes:
        mimic: Scalar, squared error between the regenerated and the teacher's map.
        contrast: Scalar in nats, dense contrast between them.
    """

    mimic: Tensor
    contrast: Tensor


class AfDCDLoss(nn.Module):
    r"""Let the student regenerate the teacher's features from a quarter of its own, cell by cell.

    The student's map is projected to the teacher's width (1x1 convolution), most positions are set to zero,
    and a small generator restores the whole map: :math:`g = G(m \cdot A(s))`. Two losses compare it with the
    teacher's map :math:`t`: ``mimic`` :math:`= \frac{1}{B} \sum (g - t)^2` over all channels and positions,
    hidden or not, and ``contrast``, :func:`segdistill.ops.dense_contrast` of both after a max-pooling.
    Projection and generator learn with the student and are thrown away after training.

    Args:
        student_channels: Width of the student's map.
        teacher_channels: Width C of the teacher's map; equal widths are fine.
        groups: Channel groups of the contrast; divides ``teacher_channels`` (not needed for ``"spatial"``).
        patch_size: Height and width of a patch, in cells of the pooled map.
        pool_size: Kernel and stride of the max-pooling before the contrast; 0, 1 or None for none.
        temperature: Divides the distances of the contrast; above 0.
        distance: ``"l1"``, ``"l2"`` or ``"cosine"``.
        negatives: ``"other_groups"``, ``"omni"``, ``"spatial"`` or ``"channel"``.
        mask: ``"random"`` (fresh at every call, also in evaluation mode), ``"centre"`` (the middle ninth is
            hidden) or ``"none"``.
        mask_ratio: Share of positions that the random mask hides, in [0, 1); others do not read it.
        generator: ``"plain"`` (two 3x3 convolutions) or ``"enhanced"`` (four).
        reduction: ``"paper"``: as published, ``mimic`` grows with C * H * W and ``contrast`` with ``groups``.
            ``"mean"``: means over all of them, so that weights carry over between crops and widths.
        impl: Implementation of the contrast, ``"auto"``, ``"reference"`` or ``"fused"``.

    Raises:
        ValueError: If a name is unknown, a number out of range, or no cell would have a negative.
        RuntimeError: If ``impl="fused"``, which this release does not have.

    Note:
        The default generator has 18 C^2 weights (75.5 million at C = 2048) and takes most of the time; the
        contrast takes most of the memory. Computed in at least float32 with autocast off.

    Source:
        Af-DCD, NeurIPS 2023, arXiv 2312.04168; defaults and ``reduction="paper"`` equal the authors' code in
        value and gradient. That code fails at equal widths, fixes all but the mask and the generator, and
        needs map sizes that divide.

    Example:
        >>> loss = AfDCDLoss(8, 32, pool_size=1)
        >>> terms = loss(torch.rand(2, 8, 10, 12), torch.rand(2, 32, 10, 12))
        >>> total = 2e-6 * terms.mimic + 5e-3 * terms.contrast
        >>> total.backward()
    """

    on: ClassVar[str] = "features"
    parts: ClassVar[tuple[str, ...]] = AfDCDTerms._fields
    uses_labels: ClassVar[bool] = False

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        *,
        groups: int = 16,
        patch_size: Sequence[int] = (4, 4),
        pool_size: int | None = 4,
        temperature: float = 0.07,
        distance: Distance = "l1",
        negatives: Negatives = "other_groups",
        mask: Mask = "random",
        mask_ratio: float = 0.75,
        generator: GeneratorName = "plain",
        reduction: Reduction = "paper",
        impl: Impl = "auto",
    ) -> None:
        super().__init__()
        check_count("student_channels", student_channels)
        check_count("teacher_channels", teacher_channels)
        check_count("pool_size", pool_size or 0, minimum=0)
        check_choice("mask", mask, get_args(Mask))
        check_choice("generator", generator, GENERATORS)
        check_choice("reduction", reduction, get_args(Reduction))
        check_ratio("mask_ratio", mask_ratio)
        self.patch_size = check_options(
            teacher_channels, groups, patch_size,
            temperature=temperature, distance=distance, negatives=negatives, impl=impl,
        )  # fmt: skip
        self.student_channels = student_channels
        self.teacher_channels = teacher_channels
        self.groups = groups
        self.pool_size = pool_size or 1
        self.temperature = temperature
        self.distance: Distance = distance
        self.negatives: Negatives = negatives
        self.mask: Mask = mask
        self.mask_ratio = mask_ratio
        self.reduction = reduction
        self.impl: Impl = impl
        self.align = nn.Conv2d(student_channels, teacher_channels, 1)
        self.generator = GENERATORS[generator](teacher_channels)

    def forward(self, student_features: Tensor, teacher_features: Tensor, *, keep: Tensor | None = None) -> AfDCDTerms:
        """Compare the student's map with the teacher's.

        Args:
            student_features: (B, student_channels, h, w); resized bilinearly to the teacher's size if needed.
            teacher_features: (B, teacher_channels, H, W), treated as a constant.
            keep: (B, 1, H, W) of 0 and 1, or bool; 1 where the student stays visible. Replaces the mask.

        Returns:
            ``AfDCDTerms(mimic, contrast)``, unweighted.

        Raises:
            ValueError: If a shape does not fit.
        """
        self._check(student_features, teacher_features, keep)
        dtype = torch.promote_types(self.align.weight.dtype, working_dtype(student_features, teacher_features))
        with without_autocast(teacher_features):
            teacher = teacher_features.detach().to(dtype)
            student = match_size(student_features.to(dtype), teacher)
            if keep is None:
                keep = draw_keep(self.mask, self.mask_ratio, teacher)
            generated = self.generator(convolve(self.align, student) * keep.to(dtype))
            mimic = (generated - teacher).square().sum() / teacher.shape[0]
            contrast = dense_contrast(
                self._pool(generated),
                self._pool(teacher),
                groups=self.groups,
                patch_size=self.patch_size,
                temperature=self.temperature,
                distance=self.distance,
                negatives=self.negatives,
                impl=self.impl,
            )
        if self.reduction == "mean":
            mimic = mimic / teacher[0].numel()
            contrast = contrast if self.negatives == "spatial" else contrast / self.groups
        return AfDCDTerms(mimic, contrast)

    def _pool(self, x: Tensor) -> Tensor:
        if self.pool_size == 1:
            return x
        if min(x.shape[-2:]) < self.pool_size:  # `max_pool2d` refuses an empty result; the contrast does not
            return x[..., : x.shape[-2] // self.pool_size, : x.shape[-1] // self.pool_size]
        return F.max_pool2d(x, self.pool_size)

    def _check(self, student: Tensor, teacher: Tensor, keep: Tensor | None) -> None:
        check_map("student_features", student, self.student_channels)
        check_map("teacher_features", teacher, self.teacher_channels)
        check_together(student, teacher)
        expected = (teacher.shape[0], 1, *teacher.shape[2:])
        if keep is not None and tuple(keep.shape) != expected:
            raise ValueError(
                f"`keep` must have shape {expected}, one channel of the teacher's size; got {tuple(keep.shape)}."
            )
