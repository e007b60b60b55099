"""The training augmentation: scale, pad, crop, flip."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as tvf

from segdistill.types import IGNORE_INDEX

Pair = tuple[tv_tensors.Image, tv_tensors.Mask]


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
            image: (3, H, W), uint8.
            mask: (H, W), uint8.
            generator: The only source of chance, on the CPU; default torch's global one.

        Returns:
            Image and mask of the crop's size.
        """
        scale = self.scales[int(torch.randint(len(self.scales), (), generator=generator))]
        offsets = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        flipped = float(torch.rand((), generator=generator)) < self.flip
        image, mask = resize(image, mask, scale)
        height, width = self.crop_size
        missing = [0, 0, max(0, width - image.shape[-1]), max(0, height - image.shape[-2])]
        if any(missing):
            image, mask = tvf.pad(image, missing, fill=self.fill), tvf.pad(mask, missing, fill=IGNORE_INDEX)
        top = int(offsets[0] * (image.shape[-2] - height + 1))
        left = int(offsets[1] * (image.shape[-1] - width + 1))
        image, mask = (tvf.crop(each, top, left, height, width) for each in (image, mask))
        if flipped:
            image, mask = tvf.horizontal_flip(image), tvf.horizontal_flip(mask)
        return image, mask


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
        fill: Red, green and blue of padded pixels, 0 to 255: the mean that the network subtracts.
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
        raise ValueError(f"`crop_size` must be a positive height and width; got {tuple(crop_size)}.")
    low, high = scale_range
    if not 0 < low <= high:
        raise ValueError(f"`scale_range` must be 0 < low <= high; got {tuple(scale_range)}.")
    if scale_step <= 0:
        raise ValueError(f"`scale_step` must be positive; got {scale_step}.")
    if len(fill) != 3 or not all(0 <= value <= 255 for value in fill):
        raise ValueError(f"`fill` must be three numbers from 0 to 255; got {tuple(fill)}.")
    if not 0 <= flip <= 1:
        raise ValueError(f"`flip` must be from 0 to 1; got {flip}.")
    steps = int((high - low) / scale_step + 1e-6)
    scales = tuple(round(low + scale_step * step, 6) for step in range(steps + 1))
    height, width = crop_size
    return TrainTransform((height, width), [float(round(value)) for value in fill], scales, flip)


def resize(image: tv_tensors.Image, mask: tv_tensors.Mask, scale: float) -> Pair:
    """Resize an image bilinearly with antialiasing, and its mask by nearest neighbour.

    Args:
        image: (3, H, W), uint8.
        mask: (H, W).
        scale: New size divided by old, > 0; each side is rounded, to at least one pixel.
    """
    if scale == 1:
        return image, mask
    return resize_image(image, scale), tvf.resize(mask, list(_scaled(image, scale)))


def resize_image(image: tv_tensors.Image, scale: float) -> tv_tensors.Image:
    """Resize an image alone, as ``resize`` does."""
    return image if scale == 1 else tvf.resize(image, list(_scaled(image, scale)), antialias=True)


def _scaled(image: tv_tensors.Image, scale: float) -> tuple[int, int]:
    height, width = image.shape[-2:]
    return max(1, round(height * scale)), max(1, round(width * scale))
