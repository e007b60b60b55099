"""Masked generation: hide positions of a map, regenerate the teacher's, and measure the error."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segdistill.losses.base import DistillationLoss
from segdistill.losses.common.directions import Basis, Directions
from segdistill.losses.common.resize import match_size
from segdistill.ops import (
    Impl,
    check_choice,
    check_count,
    check_impl,
    check_map,
    check_ratio,
    check_together,
    conv3x3,
    masked_conv,
    squared_error,
    without_autocast,
    working_dtype,
)
from segdistill.util import ArgumentError

Mask = Literal["random", "centre", "none"]
GeneratorName = Literal["plain", "enhanced"]
Reduction = Literal["paper", "mean"]


class PlainGenerator(nn.Module):
    """Two 3x3 convolutions with a ReLU between them; (B, C, H, W) to the same shape.

    Args:
        channels: C, of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Regenerate a masked map."""
        return self.finish(F.relu(_conv(self.conv1, x, "auto")), "auto")

    def finish(self, shallow: Tensor, impl: Impl) -> Tensor:
        """What follows the first convolution and its ReLU."""
        return _conv(self.conv2, shallow, impl)


class EnhancedGenerator(nn.Module):
    """Two 3x3 convolutions, each followed by a ReLU and a 3x3 head; the mean of the heads is the output.

    Args:
        channels: C, of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.head1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.head2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Regenerate a masked map."""
        return self.finish(F.relu(_conv(self.conv1, x, "auto")), "auto")

    def finish(self, shallow: Tensor, impl: Impl) -> Tensor:
        """What follows the first convolution and its ReLU."""
        deep = F.relu(_conv(self.conv2, shallow, impl))
        return (_conv(self.head1, shallow, impl) + _conv(self.head2, deep, impl)) / 2


def _conv(conv: nn.Conv2d, x: Tensor, impl: Impl) -> Tensor:
    return conv3x3(x, *_parameters(conv), impl=impl)


def _parameters(conv: nn.Conv2d) -> tuple[Tensor, Tensor]:
    assert conv.bias is not None
    return conv.weight, conv.bias


GENERATORS: dict[str, type[PlainGenerator] | type[EnhancedGenerator]] = {
    "plain": PlainGenerator,
    "enhanced": EnhancedGenerator,
}


def draw_keep(mask: Mask, ratio: float, like: Tensor) -> Tensor:
    """Return which positions stay visible, 1 or 0, shared by the channels of an image.

    Args:
        mask: ``"random"`` hides each position on its own with probability ``ratio``, anew at each call, from
            the global random state of the device of ``like``. ``"centre"`` hides the middle ninth, rows
            H//3 to 2H//3 and columns W//3 to 2W//3. ``"none"`` hides nothing.
        ratio: Hidden share of ``"random"``, in [0, 1).
        like: Map (B, C, H, W) that gives size, device and dtype.

    Returns:
        (B, 1, H, W). Visible positions are not scaled up.
    """
    batch, _, height, width = like.shape
    if mask == "random":
        drawn = torch.rand(batch, 1, height, width, device=like.device, dtype=torch.float32)
        return (drawn <= 1 - ratio).to(like.dtype)
    keep = like.new_ones(batch, 1, height, width)
    if mask == "centre":
        keep[..., height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = 0
    return keep


class MaskedGeneration(DistillationLoss):
    """Project the student's map to the teacher's width, hide positions, regenerate: what MGD and Af-DCD share.

    Args:
        student_channels: Width of the student's map.
        teacher_channels: Width of the teacher's map.
        mask: As in :func:`draw_keep`.
        mask_ratio: As in :func:`draw_keep`.
        generator: Name in ``GENERATORS``.
        width: Directions of the teacher's map that everything works in, see `Directions`. None: all its channels.
        basis: Of the directions.
        impl: ``"reference"`` computes what is written, in float32 or more. ``"fused"``: projection, mask and first
            convolution as one, and the error in its fused form; what follows the first convolution as with ``"auto"``,
            since a plain convolution is the fastest that a GPU has. ``"auto"``: each in the form that suits the device.
            Both compute in the precision of autocast where that is on.
    """

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        *,
        mask: Mask,
        mask_ratio: float,
        generator: GeneratorName,
        width: int | None,
        basis: Basis,
        impl: Impl,
    ) -> None:
        super().__init__()
        check_count("student_channels", student_channels)
        check_count("teacher_channels", teacher_channels)
        check_choice("mask", mask, get_args(Mask))
        check_choice("generator", generator, GENERATORS)
        check_impl(impl)
        check_ratio("mask_ratio", mask_ratio)
        self.student_channels = student_channels
        self.teacher_channels = teacher_channels
        self.mask: Mask = mask
        self.mask_ratio = mask_ratio
        self.impl: Impl = impl
        self.directions = None if width is None else Directions(teacher_channels, width, basis)
        self.align = nn.Conv2d(student_channels, width or teacher_channels, 1)
        self.generator = GENERATORS[generator](width or teacher_channels)

    @property
    def projection(self) -> Directions | None:
        """The directions that everything works in; None: all channels."""
        return self.directions

    def regenerate(
        self, student_features: Tensor, teacher_features: Tensor, keep: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the regenerated map and the teacher's without its gradient.

        Args:
            student_features: (B, student_channels, h, w), resized to the teacher's size.
            teacher_features: (B, teacher_channels, H, W), or (B, width, H, W) projected already.
            keep: (B, 1, H, W), which positions stay visible; None: drawn.

        Raises:
            ValueError: If a shape does not fit.
        """
        self._check(student_features, teacher_features, keep)
        device = teacher_features.device.type
        dtype = working_dtype(student_features, teacher_features, self.align.weight)
        autocast = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
        if dtype == torch.float32 and self.impl != "reference" and autocast:
            dtype = torch.get_autocast_dtype(device)
        with without_autocast(teacher_features):
            teacher = teacher_features.detach()
            if self.directions is not None and teacher.shape[1] == self.teacher_channels:
                teacher = self.directions(teacher.to(dtype))
            student = match_size(student_features.to(dtype), teacher)
            if keep is None:
                keep = draw_keep(self.mask, self.mask_ratio, teacher)
            first = _parameters(self.align) + _parameters(self.generator.conv1)
            shallow = F.relu(masked_conv(student, keep.to(dtype), *first, impl=self.impl))
            return self.generator.finish(shallow, "reference" if self.impl == "reference" else "auto"), teacher

    def mimic(self, generated: Tensor, teacher: Tensor, reduction: Reduction) -> Tensor:
        """Squared error of maps (B, c, H, W): ``"paper"`` sums c * H * W, ``"mean"`` averages them; a mean over B.

        The mean is over the channels of the teacher also where few directions are compared: the error in the others is
        a constant, which is left out, so that a weight carries over between widths.
        """
        total = squared_error(generated, teacher, impl=self.impl)
        batch, width = generated.shape[:2]
        return total / (generated.numel() // width * self.teacher_channels if reduction == "mean" else batch)

    def _check(self, student: Tensor, teacher: Tensor, keep: Tensor | None) -> None:
        check_map("student_features", student, self.student_channels)
        narrow = self.directions is not None and teacher.ndim == 4 and teacher.shape[1] == self.directions.width
        check_map("teacher_features", teacher, teacher.shape[1] if narrow else self.teacher_channels)
        check_together(student, teacher)
        expected = (teacher.shape[0], 1, *teacher.shape[2:])
        if keep is not None and tuple(keep.shape) != expected:
            raise ArgumentError(
                f"`keep` must have shape {expected}, one channel of the teacher's size; got {tuple(keep.shape)}."
            )
