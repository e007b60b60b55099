"""The training augmentation: scale, pad, crop, flip."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import NamedTuple, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as tvf

from segdistill.types import IGNORE_INDEX
from segdistill.util import ArgumentError

Pair = tuple[tv_tensors.Image, tv_tensors.Mask]
ImageT = TypeVar("ImageT", bound=Tensor)


class Window(NamedTuple):
    """A part of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class TrainTransform:
    """The augmentation that ``train_transform`` builds; call it on an image and its mask."""

    crop_size: tuple[int, int]
    fill: list[float]
    scales: tuple[float, ...]
    flip: float

    def __call__(
        self, image: tv_tensors.Image, mask: tv_tensors.Mask, generator: torch.Generator | None = None
    ) -> Pair:
        """Augment both alike.

        Args:
            image: (C, H, W), uint8, or float from 0 to 1.
            mask: (H, W), uint8.
            generator: The only source of chance, on the CPU; default torch's global one.

        Returns:
            Image and mask of the crop's size.
        """
        scale = self.scales[int(torch.randint(len(self.scales), (), generator=generator))]
        offsets = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        flipped = float(torch.rand((), generator=generator)) < self.flip
        size, (height, width) = _scaled(image, scale), self.crop_size
        window = Window(
            top=int(offsets[0] * (max(size[0], height) - height + 1)),
            left=int(offsets[1] * (max(size[1], width) - width + 1)),
            height=min(height, size[0]),
            width=min(width, size[1]),
        )
        pixels, ids = resize_window(image, size, window), resize_mask_window(mask, size, window)
        missing = [0, 0, width - window.width, height - window.height]
        if any(missing):
            fill = self.fill if pixels.dtype == torch.uint8 else [value / 255 for value in self.fill]
            pixels = tvf.pad(pixels, missing, fill=fill)
            ids = functional.pad(ids, (0, missing[2], 0, missing[3]), value=IGNORE_INDEX)
        if flipped:
            pixels, ids = pixels.flip(-1), ids.flip(-1)
        return tv_tensors.Image(pixels.contiguous()), tv_tensors.Mask(ids.contiguous())


def train_transform(
    crop_size: tuple[int, int],
    *,
    fill: Sequence[float],
    scale_range: tuple[float, float] = (0.5, 2.0),
    scale_step: float = 0.1,
    flip: float = 0.5,
) -> TrainTransform:
    """Build the augmentation of the published experiments.

    Scale by 0.5, 0.6, ..., 2.0; pad at the right and bottom to the crop, images by ``fill`` and masks by
    ``IGNORE_INDEX``; crop at random; flip at random.

    Args:
        crop_size: Height and width in pixels.
        fill: A number for each channel of padded pixels, 0 to 255: the mean that the network subtracts.
        scale_range: Smallest and largest scale, both included.
        scale_step: Distance of the scales between them.
        flip: Probability of a horizontal flip.

    Raises:
        ValueError: If a size, range or probability is impossible.

    Source:
        Af-DCD's data set classes. They pad the normalised image by zeros, which is ``fill`` here, and resize
        without antialiasing.

    Example:
        >>> image = tv_tensors.Image(torch.zeros(3, 40, 50, dtype=torch.uint8))
        >>> mask = tv_tensors.Mask(torch.zeros(40, 50, dtype=torch.uint8))
        >>> image, mask = train_transform((64, 96), fill=(124, 116, 104))(image, mask)
        >>> image.shape, mask.shape
        (torch.Size([3, 64, 96]), torch.Size([64, 96]))
    """
    if len(crop_size) != 2 or not all(isinstance(side, int) and side > 0 for side in crop_size):
        raise ArgumentError(f"`crop_size` must be a positive height and width; got {tuple(crop_size)}.")
    low, high = scale_range
    if not 0 < low <= high:
        raise ArgumentError(f"`scale_range` must be 0 < low <= high; got {tuple(scale_range)}.")
    if scale_step <= 0:
        raise ArgumentError(f"`scale_step` must be positive; got {scale_step}.")
    if not fill or not all(0 <= value <= 255 for value in fill):
        raise ArgumentError(f"`fill` must be a number from 0 to 255 for each channel; got {tuple(fill)}.")
    if not 0 <= flip <= 1:
        raise ArgumentError(f"`flip` must be from 0 to 1; got {flip}.")
    steps = int((high - low) / scale_step + 1e-6)
    scales = tuple(round(low + scale_step * step, 6) for step in range(steps + 1))
    height, width = crop_size
    return TrainTransform((height, width), [float(round(value)) for value in fill], scales, flip)


def resize(image: tv_tensors.Image, mask: tv_tensors.Mask, scale: float) -> Pair:
    """Resize an image bilinearly with antialiasing, and its mask by nearest neighbour.

    Args:
        image: (C, H, W), uint8 or float.
        mask: (H, W).
        scale: New size divided by old, > 0; each side is rounded, to at least one pixel.
    """
    if scale == 1:
        return image, mask
    return resize_image(image, scale), tvf.resize(mask, list(_scaled(image, scale)))


def resize_image(image: ImageT, scale: float) -> ImageT:
    """Resize an image (C, H, W) alone, as ``resize`` does."""
    return image if scale == 1 else cast(ImageT, tvf.resize(image, list(_scaled(image, scale)), antialias=True))


def resize_window(image: Tensor, size: tuple[int, int], window: Window) -> Tensor:
    """A window of a resized image, computed from the rows it needs.

    Torch resizes along the width first, then along the height. So the first pass takes only the rows that the window
    is interpolated from, and the second only the columns of the window. Both sample where resizing the whole image
    does. The values are the same bits wherever torch resizes bytes as bytes: on x86 with AVX2 and on ARM. Elsewhere
    the rounding between the passes changes a value by one at most.

    Args:
        image: (C, H, W), uint8 or float; fastest as a view of (H, W, 3) in memory.
        size: Height and width of the whole image after resizing.
        window: The part to compute, inside ``size``.

    Returns:
        (C, window.height, window.width); a view of ``image`` if that is not resized.
    """
    top, left, height, width = window
    old_height, old_width = image.shape[-2:]
    if size == (old_height, old_width):
        return image.as_subclass(Tensor)[:, top : top + height, left : left + width]
    rows = _rows_below(old_height, size[0], top, top + height)
    part = tvf.resize(image.as_subclass(Tensor)[:, rows], [rows.stop - rows.start, size[1]], antialias=True)
    # At full height, so that the second pass samples where it would; rows outside the window are never looked at.
    columns = part.new_empty(old_height, width, len(image)).permute(2, 0, 1)
    columns[:, rows] = part[:, :, left : left + width]
    resized: Tensor = tvf.resize(columns, [size[0], width], antialias=True)
    return resized[:, top : top + height]


def resize_mask_window(mask: Tensor, size: tuple[int, int], window: Window) -> Tensor:
    """A window of a mask resized by nearest neighbour, (window.height, window.width); see ``resize_window``."""
    top, left, height, width = window
    rows = _nearest(mask.shape[-2], size[0])[top : top + height]
    columns = _nearest(mask.shape[-1], size[1])[left : left + width]
    # NumPy, whose gather of bytes is four times faster than torch's.
    return torch.from_numpy(mask.as_subclass(Tensor).numpy().take(rows, axis=0).take(columns, axis=1))


def _rows_below(old: int, new: int, start: int, stop: int) -> slice:
    """Rows of ``old`` that the antialiased triangle filter reads for rows ``start`` to ``stop`` of ``new``."""
    scale = old / new
    support = max(scale, 1.0) + 1  # one more than the filter's, against rounding
    return slice(max(0, floor(scale * start - support)), min(old, ceil(scale * stop + support)))


def _nearest(old: int, new: int) -> NDArray[np.int64]:
    """Index in ``old`` of each of ``new`` pixels; asked of torch, since its rounding counts."""
    places = torch.arange(old, dtype=torch.float32)[None, None]
    return functional.interpolate(places, size=new, mode="nearest")[0, 0].numpy().astype(np.int64)


def _scaled(image: Tensor, scale: float) -> tuple[int, int]:
    height, width = image.shape[-2:]
    return max(1, round(height * scale)), max(1, round(width * scale))
