"""What a user gives as an image, as pixels."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from segdistill.data import as_pixels, read_image
from segdistill.util import ImageError

ImageLike = str | Path | Image.Image | np.ndarray[Any, Any] | Tensor


def pixels_of(image: ImageLike, max_pixels: int | None = None, *, channels: int = 3) -> Tensor:
    """Bring an image to a tensor (C, H, W): bytes as they are, or float in [0, 1].

    Args:
        image: Path, PIL image, array (H, W, C) or tensor (C, H, W); of uint8, uint16 or floats in [0, 1].
        max_pixels: Larger files are refused, see `read_image`.
        channels: How many channels the network takes; three are red, green and blue.

    Raises:
        DataError: If a file cannot be read.
        ImageError: If it is something else, or has another shape, type or range.
    """
    if isinstance(image, (str, Path)):
        return torch.Tensor.as_subclass(read_image(Path(image), max_pixels, channels=channels), Tensor)
    if isinstance(image, Image.Image):
        if image.mode.startswith(("I", "F")) or channels != 3:
            raise ImageError(
                f"`image` must be RGB of 8 bits to be given as a PIL image; got one of mode {image.mode} for a network "
                f"of {channels} channels. Give its path, or an array (H, W, C)."
            )
        image = np.asarray(image.convert("RGB"))
    if isinstance(image, np.ndarray):
        pixels = as_pixels(image) if image.dtype == np.uint16 else torch.from_numpy(image.copy())
        pixels = pixels.permute(2, 0, 1) if pixels.dim() == 3 else pixels
    elif isinstance(image, Tensor):
        pixels = image
    else:
        raise ImageError(
            f"`image` must be one image: a path, a PIL image, an array or a tensor; got {type(image).__name__}. "
            "Call the predictor once for each image."
        )
    if pixels.dim() != 3 or pixels.shape[0] != channels or not pixels.numel():
        raise ImageError(
            f"`image` must be an (H, W, {channels}) array or a ({channels}, H, W) tensor; got {tuple(image.shape)}."
        )
    if pixels.dtype == torch.uint8:
        return pixels
    if not pixels.is_floating_point():
        raise ImageError(f"`image` must be uint8, or float in [0, 1]; got {pixels.dtype}.")
    low, high = pixels.min().item(), pixels.max().item()
    if not (low >= 0 and high <= 1):
        raise ImageError(
            f"`image` of floats must lie in [0, 1]; got {low:g} to {high:g}. Divide by 255, or give it as uint8."
        )
    return pixels.float()
