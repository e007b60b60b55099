"""From an image to a mask: a trained network with its label table and preprocessing."""

import glob
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor, nn

from segdistill.engine.evaluate import Protocol, class_scores
from segdistill.taps import Normalise, find_logits
from segdistill.types import Preprocessing

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
IMAGE_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")  # no others: Pillow would start programs for some

ImageLike = str | Path | Image.Image | np.ndarray[Any, Any] | Tensor


class ImageError(ValueError):
    """An image that cannot be read; the message names it."""


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
            raise ValueError("it has more than 8 bits per channel")
        return ImageOps.exif_transpose(file).convert("RGB")


def find_images(source: str) -> list[tuple[Path, Path]]:
    """Images named by a file, a folder (searched deeply) or a glob pattern.

    Returns:
        Pairs of the image and its path relative to the common folder, sorted.

    Raises:
        ImageError: If nothing is found.
    """
    path = Path(source)
    if path.is_file():
        return [(path, Path(path.name))]
    if path.is_dir():
        base, found = path, [item for item in path.rglob("*") if item.is_file()]
    else:
        found = [Path(item) for item in glob.glob(source, recursive=True) if Path(item).is_file()]
        base = _common_folder(found)
    images = sorted(item for item in found if item.suffix.lower() in IMAGE_SUFFIXES)
    if not images:
        raise ImageError(f"{source} names no image: give an image, a folder of images or a quoted glob pattern.")
    return [(item, item.relative_to(base)) for item in images]


def _common_folder(paths: Sequence[Path]) -> Path:
    base = paths[0].parent if paths else Path()
    while not all(path.is_relative_to(base) for path in paths):
        base = base.parent
    return base


def predict_files(predictor: Predictor, source: str, out: Path, protocol: Protocol = Protocol()) -> Iterator[Path]:
    """Write ``<name>_mask.png`` and ``<name>_overlay.png`` for every image; yield the masks' paths.

    An image that cannot be read raises `ImageError` before its files are written; those before it are kept.
    """
    for image, relative in find_images(source):
        mask = predictor(image, protocol)
        folder, name = out / relative.parent, f"{relative.stem}_{relative.suffix[1:]}"  # a.png and a.jpg differ
        folder.mkdir(parents=True, exist_ok=True)
        mask_path = folder / f"{name}_mask.png"
        predictor.mask_image(mask).save(mask_path)
        predictor.overlay(image, mask).save(folder / f"{name}_overlay.png")
        yield mask_path
