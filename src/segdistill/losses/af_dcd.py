"""Af-DCD: masked feature mimicking and dense contrast, without augmentation and without a memory bank."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args

from torch import Tensor
from torch.nn import functional as F

from segdistill.losses.base import Silence, Size
from segdistill.losses.common.directions import Basis
from segdistill.losses.common.generator import GeneratorName, Mask, MaskedGeneration, Reduction
from segdistill.ops import (
    Distance,
    Impl,
    Negatives,
    check_choice,
    check_count,
    check_options,
    dense_contrast,
    without_autocast,
)

POOLS = (4, 2, 1)
PATCHES = ((4, 4), (2, 2), (1, 2), (2, 1))
"""What a recipe's ``auto`` takes: the first is published."""


class AfDCDTerms(NamedTuple):
    """The two unweighted parts of Af-DCD.

    Attributes:
        mimic: Scalar, squared error between the regenerated and the teacher's map.
        contrast: Scalar in nats, dense contrast between them.
    """

    mimic: Tensor
    contrast: Tensor


class AfDCDLoss(MaskedGeneration):
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
        temperature: Divides the distances of the contrast; above 0. With ``width``, distances are first made as long as
            those of all channels are expected to be, so that a temperature carries over.
        distance: ``"l1"``, ``"l2"`` or ``"cosine"``.
        negatives: ``"other_groups"``, ``"omni"``, ``"spatial"`` or ``"channel"``.
        mask: ``"random"`` (fresh at every call, also in evaluation mode), ``"centre"`` (the middle ninth is
            hidden) or ``"none"``.
        mask_ratio: Share of positions that the random mask hides, in [0, 1); others do not read it.
        generator: ``"plain"`` (two 3x3 convolutions) or ``"enhanced"`` (four).
        reduction: ``"paper"``: as published, ``mimic`` grows with C * H * W and ``contrast`` with ``groups``.
            ``"mean"``: means over all of them, so that weights carry over between crops and widths.
        width: Number of directions of the teacher's map that everything works in, below ``teacher_channels``. None: all
            its channels, as published.
        basis: ``"pca"``: the principal directions, fitted before the training; ``"random"``: drawn. See `Directions`.
        impl: ``"reference"``: as the formulas say. ``"fused"``: the same numbers in less time and memory: the contrast
            by its kernel, an error where that cannot run; projection, mask and first convolution as one; the
            generator's further convolutions as ``"auto"``. ``"auto"``: the form that suits sizes and device; the log
            says what it chose. See `ops.dense_contrast` and ``docs/performance.md``.

    Raises:
        ValueError: If a name is unknown, a number out of range, or no cell would have a negative.
        RuntimeError: When called with ``impl="fused"`` where the fused contrast cannot run; the message says why.

    Note:
        The default generator has 18 C^2 weights (75.5 million at C = 2048) and takes most of the time. Under
        autocast its convolutions are computed in that precision (not with ``impl="reference"``), both losses in at
        least float32.

    Note:
        ``width`` is not of the paper. With it mimicking and contrast work on :math:`Q t`: a quarter of the channels
        take a sixteenth of the generator's multiplications. ``"mean"`` still divides by the number of all channels.

    Source:
        Af-DCD, NeurIPS 2023, arXiv 2312.04168; defaults and ``reduction="paper"`` equal the authors' code in
        value and gradient. That code fails at equal widths, fixes all but the mask and the generator, and
        needs map sizes that divide.

    Example:
        >>> import torch
        >>> loss = AfDCDLoss(8, 32, pool_size=1)
        >>> terms = loss(torch.rand(2, 8, 10, 12), torch.rand(2, 32, 10, 12))
        >>> total = 2e-6 * terms.mimic + 5e-3 * terms.contrast
        >>> total.backward()
    """

    title = "Af-DCD"
    layer = "layer4"
    parts = AfDCDTerms._fields

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
        width: int | None = None,
        basis: Basis = "pca",
        impl: Impl = "auto",
    ) -> None:
        check_count("pool_size", pool_size or 0, minimum=0)
        check_choice("reduction", reduction, get_args(Reduction))
        patch_size = check_options(
            width or teacher_channels, groups, patch_size,
            temperature=temperature, distance=distance, negatives=negatives, impl=impl,
        )  # fmt: skip
        super().__init__(
            student_channels, teacher_channels, mask=mask, mask_ratio=mask_ratio, generator=generator, width=width,
            basis=basis, impl=impl,
        )  # fmt: skip
        self.patch_size = patch_size
        self.groups = groups
        self.pool_size = pool_size or 1
        self.temperature = temperature
        self.distance: Distance = distance
        self.negatives: Negatives = negatives
        self.reduction: Reduction = reduction

    @property
    def published(self) -> dict[str, float]:
        """Weights of the authors' Cityscapes runs, re-expressed where ``reduction="mean"``."""
        if self.reduction == "mean":
            return {"mimic": 33.6, "contrast": 0.08}
        return {"mimic": 2e-6, "contrast": 5e-3}

    def why_silent(self, part: str, size: Size) -> Silence | None:
        """The contrast needs a whole patch on the pooled map."""
        height, width = size[0] // self.pool_size, size[1] // self.pool_size
        if part != "contrast" or (height >= self.patch_size[0] and width >= self.patch_size[1]):
            return None
        patch = "x".join(map(str, self.patch_size))
        return Silence(f"its map is {height}x{width} and one patch needs {patch}", self._option(size))

    def _option(self, size: Size) -> str:
        """What would make a patch fit; empty if nothing does."""
        if _patches(size, 1, self.patch_size):
            return "pool_size=1"
        smaller = next((patch for patch in PATCHES if _patches(size, self.pool_size, patch)), None)
        return "" if smaller is None else f"patch_size=[{smaller[0]},{smaller[1]}]"

    @classmethod
    def suited(cls, options: Mapping[str, Any], size: Size) -> dict[str, Any]:
        """As published where two patches fit each side; else less pooling, and then smaller patches."""
        is_open = {key for key in ("pool_size", "patch_size") if options.get(key, "auto") == "auto"}
        pools = POOLS if "pool_size" in is_open else (options["pool_size"] or 1,)
        patches = PATCHES if "patch_size" in is_open else (options["patch_size"],)
        chosen = [(pool, patch) for patch in patches for pool in pools]
        try:
            most = max(chosen, key=lambda pair: _patches(size, *pair))
            fits = next((pair for pair in chosen if _patches(size, *pair) >= 2), most)
        except (TypeError, ValueError, ArithmeticError):  # an option that cannot be, which the constructor says
            fits = chosen[0]
        pool, patch = fits
        values = {"pool_size": pool, "patch_size": list(patch) if "patch_size" in is_open else None}
        return {key: value for key, value in values.items() if key in is_open}

    def forward(self, student_features: Tensor, teacher_features: Tensor, *, keep: Tensor | None = None) -> AfDCDTerms:
        """Compare the student's map with the teacher's.

        Args:
            student_features: (B, student_channels, h, w); resized bilinearly to the teacher's size if needed.
            teacher_features: (B, teacher_channels, H, W), or its ``width`` directions; treated as a constant.
            keep: (B, 1, H, W) of 0 and 1, or bool; 1 where the student stays visible. Replaces the mask.

        Returns:
            ``AfDCDTerms(mimic, contrast)``, unweighted.

        Raises:
            ValueError: If a shape does not fit.
        """
        generated, teacher = self.regenerate(student_features, teacher_features, keep)
        with without_autocast(teacher):
            contrast = dense_contrast(
                self._cells(generated),
                self._cells(teacher),
                groups=self.groups,
                patch_size=self.patch_size,
                temperature=self.temperature,
                distance=self.distance,
                negatives=self.negatives,
                impl=self.impl,
            )
        if self.reduction == "mean" and self.negatives != "spatial":
            contrast = contrast / self.groups
        return AfDCDTerms(self.mimic(generated, teacher, self.reduction), contrast)

    def _cells(self, x: Tensor) -> Tensor:
        """The map whose cells are compared, such that distances are as long as those of all channels."""
        pooled = self._pool(x)
        return pooled if self.directions is None else pooled / self.directions.shorter(self.distance)

    def _pool(self, x: Tensor) -> Tensor:
        if self.pool_size == 1:
            return x
        if min(x.shape[-2:]) < self.pool_size:  # `max_pool2d` refuses an empty result; the contrast does not
            return x[..., : x.shape[-2] // self.pool_size, : x.shape[-1] // self.pool_size]
        return F.max_pool2d(x, self.pool_size)


def _patches(size: Size, pool: int, patch: Sequence[int]) -> int:
    """How many patches fit the shorter side of a pooled map, in patches."""
    return min(side // pool // length for side, length in zip(size, patch, strict=True))
