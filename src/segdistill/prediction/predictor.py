"""From an image to a mask: a trained network with its label table and preprocessing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor, nn

from segdistill.engine import Protocol, class_scores
from segdistill.networks import Normalise, find_logits
from segdistill.types import Preprocessing
from segdistill.util import ArgumentError, ImageError

IMAGE_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")  # no others: Pillow would start programs for some

ImageLike = str | Path | Image.Image | np.ndarray[Any, Any] | Tensor


@dataclass(frozen=True)
class Predictor:
    """A network ready to use on images.

    Attributes:
        network: In evaluation mode; takes a normalised image.
        names: Class names by train id.
        colors: Class colours, RGB, 0 to 255.
        preprocessing: How ``network`` wants its image.
        image_scale: Images are resized by this factor first, as they were in training.
        metadata: What the file says of itself: architecture, recipe, score, protocol.

    Example:
        >>> network = nn.Conv2d(3, 2, 1)
        >>> predictor = Predictor(network, ["off", "on"], [(0, 0, 0), (255, 255, 255)])
        >>> predictor(np.zeros((8, 6, 3), np.uint8)).shape
        torch.Size([8, 6])
    """

    network: nn.Module
    names: Sequence[str]
    colors: Sequence[tuple[int, int, int]]
    preprocessing: Preprocessing = Preprocessing()
    image_scale: float = 1.0
    metadata: dict[str, Any] | None = None

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def to(self, device: torch.device | str) -> "Predictor":
        """Move the network in place."""
        self.network.to(device)
        return self

    def segmenter(self) -> Callable[[Tensor], Tensor]:
        """From images (B, 3, H, W), RGB in [0, 1], to logits (B, K, h, w), for `engine.evaluate`."""
        normalise = Normalise(self.preprocessing.mean, self.preprocessing.std, bgr=self.preprocessing.bgr)
        normalise.to(self.device)
        return lambda image: find_logits(self.network(normalise(image)))

    def __call__(self, image: ImageLike, protocol: Protocol = Protocol()) -> Tensor:
        """Segment one image.

        Args:
            image: A path, a PIL image, an array (H, W, 3) uint8, or a tensor (3, H, W), uint8 or float in [0, 1].
            protocol: Scales, flip and window.

        Returns:
            Train ids (H, W), uint8, on the CPU.

        Raises:
            ImageError: If it is not an image.
        """
        pixels = read_image(image).to(self.device)[None]
        size = pixels.shape[-2:]
        if self.image_scale != 1:
            small = [max(1, round(length * self.image_scale)) for length in size]
            pixels = F.interpolate(pixels, size=small, mode="bilinear", align_corners=False, antialias=True)
        self.network.eval()
        return class_scores(self.segmenter(), pixels, size, protocol).argmax(1)[0].to("cpu", torch.uint8)

    def mask_image(self, mask: Tensor) -> Image.Image:
        """A palette image whose pixel values are the train ids and whose colours are the classes'."""
        picture = Image.fromarray(mask.numpy(), mode=None).convert("P")
        picture.putpalette([value for color in self.colors for value in color])
        return picture

    def overlay(self, image: ImageLike, mask: Tensor, opacity: float = 0.5) -> Image.Image:
        """The image with the classes' colours laid over it."""
        pixels = (read_image(image) * 255).permute(1, 2, 0)
        colors = torch.tensor(self.colors, dtype=torch.float32)[mask.long()]
        mixed = (1 - opacity) * pixels + opacity * colors
        return Image.fromarray(mixed.round().to(torch.uint8).numpy())


def read_image(image: ImageLike) -> Tensor:
    """Bring an image to a float tensor (3, H, W), RGB in [0, 1].

    Raises:
        ImageError: If the file does not exist or is no image of 8 bits, or an array has another shape or type.
    """
    if isinstance(image, (str, Path)):
        try:
            image = _read_file(image)
        except FileNotFoundError:
            raise ImageError(f"{image} does not exist.") from None
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise ImageError(f"{image} is not a readable image ({error}).") from None
    if isinstance(image, Image.Image):
        image = np.asarray(image.convert("RGB"))
    if isinstance(image, np.ndarray):
        image = torch.from_numpy(image.copy()).movedim(-1, 0) if image.ndim == 3 else torch.from_numpy(image.copy())
    if image.dim() != 3 or image.shape[0] != 3:
        raise ImageError(
            f"`image` must have 3 channels: (H, W, 3) array or (3, H, W) tensor; got {tuple(image.shape)}."
        )
    if image.dtype != torch.uint8 and not image.is_floating_point():
        raise ImageError(f"`image` must be uint8, or float in [0, 1]; got {image.dtype}.")
    return image.float() / 255 if image.dtype == torch.uint8 else image.float()


def _read_file(path: str | Path) -> Image.Image:
    """A picture as RGB, turned upright as its EXIF orientation says, as the data sets read it."""
    with Image.open(path, formats=IMAGE_FORMATS) as file:
        if file.mode.startswith(("I", "F")):
            raise ArgumentError("it has more than 8 bits per channel")
        return ImageOps.exif_transpose(file).convert("RGB")
