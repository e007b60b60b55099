"""Decoding images and masks: the one place where a picture file is read.

With Pillow: the image decoders of ``torchvision.io`` are deprecated since 0.29, and Pillow gives the indices of palette
masks.
"""

import io
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torchvision import tv_tensors

from segdistill.util import DataError

ByteMap: TypeAlias = NDArray[np.uint8]

IMAGE_FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
"""Pillow's names. No others: for some it would start programs."""

IMAGE_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""Of these formats, in lower case."""

MASK_FORMATS: Final = ("PNG", "BMP", "TIFF")
"""Those that keep every pixel as it is."""


def read_image(path: Path | str, max_pixels: int | None = None) -> tv_tensors.Image:
    """Read a picture as RGB, turned upright as its EXIF orientation says.

    Args:
        path: A JPEG, PNG, WebP, BMP or TIFF file. Alpha is dropped, grey is repeated.
        max_pixels: Larger ones are refused unread; None for the limit of Pillow, 178,956,970.

    Returns:
        (3, H, W), uint8: a view of (H, W, 3) in memory, which resizes several times faster than planes do.

    Raises:
        DataError: If the file is missing, cannot be decoded, is too large, or has more than 8 bits per channel.
    """
    picture = _decode(Path(path), IMAGE_FORMATS, "image", max_pixels)
    if picture.mode.startswith(("I", "F")):
        raise DataError(
            path,
            f"must have 8 bits per channel; it has the mode {picture.mode}",
            "Convert the image to 8 bits per channel.",
        )
    ImageOps.exif_transpose(picture, in_place=True)
    rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
    return tv_tensors.Image(torch.from_numpy(np.array(rgb)).permute(2, 0, 1))


def read_mask(path: Path | str) -> ByteMap:
    """Read a one-channel mask as stored: grey values, or the indices (not the colours) of a palette.

    Args:
        path: A PNG, BMP or TIFF file; not JPEG, whose compression alters labels.

    Returns:
        (H, W), uint8 ids.

    Raises:
        DataError: If the file is missing, cannot be decoded, has several channels or ids above 255.
    """
    picture = _decode(Path(path), MASK_FORMATS, "mask")
    ids = np.array(picture)
    if ids.ndim != 2 or ids.dtype.kind == "f":
        raise DataError(
            path,
            f"must have one channel of class ids; it has the mode {picture.mode}",
            "Save it as an 8-bit grey or palette PNG; a `folder` data set also converts RGB by its `colors`.",
        )
    if ids.dtype not in (np.uint8, np.bool_) and (ids.min() < 0 or ids.max() > 255):
        worst = ids.max() if ids.max() > 255 else ids.min()
        raise DataError(path, f"must hold ids from 0 to 255; it holds {worst}", "Save the mask with 8 bits per pixel.")
    return ids.astype(np.uint8)


def size_of(path: Path | str) -> tuple[int, int]:
    """Height and width by the header of a picture, as stored; nothing is decoded. (0, 0) if it cannot be read."""
    try:
        with _open(path, IMAGE_FORMATS) as picture:
            return picture.height, picture.width
    except (OSError, SyntaxError, ValueError):
        return 0, 0


def tiff_tags(path: Path | str, wanted: Iterable[int]) -> dict[int, Any]:
    """Tags of a TIFF file by number, of those that are wanted; none if it is another file or cannot be read."""
    try:
        with _open(path, ("TIFF",)) as picture:
            held = getattr(picture, "tag_v2", {})
            return {tag: held[tag] for tag in wanted if tag in held}
    except (OSError, SyntaxError, ValueError):
        return {}


_UNGUARDED = threading.Lock()


def _open(source: Path | str | io.BytesIO, formats: tuple[str, ...]) -> Image.Image:
    """Read the header of a picture of any size; who decodes it looks at the size first."""
    with _UNGUARDED:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(source, formats=formats)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _check_size(path: Path, picture: Image.Image, kind: str, max_pixels: int | None) -> None:
    """Pillow's guard against files that are small on disk and fill the memory, with a limit that can be raised."""
    guard = Image.MAX_IMAGE_PIXELS
    limit = max_pixels if max_pixels is not None else None if guard is None else 2 * guard
    pixels = picture.width * picture.height
    if limit is not None and pixels > limit:
        raise DataError(
            path,
            f"has {picture.width} x {picture.height} = {pixels} pixels, which is above the limit of {limit}",
            "Cut it into tiles"
            + (
                f", or to predict it, raise the limit with `--max-pixels {pixels}` (in Python `max_pixels`) and take "
                "`--window 1024x1024`."
                if kind == "image"
                else ", as its image."
            ),
        )


def _decode(path: Path, formats: tuple[str, ...], kind: str, max_pixels: int | None = None) -> Image.Image:
    """Read and fully decode a picture; every way to fail becomes a ``DataError``."""
    try:
        # From memory, since Pillow leaves a file open when decoding fails.
        picture = _open(io.BytesIO(path.read_bytes()), formats)
        _check_size(path, picture, kind, max_pixels)
        picture.load()
    except FileNotFoundError:
        raise DataError(path, "does not exist", f"Restore this {kind}, or leave out what names it.") from None
    except UnidentifiedImageError:
        reason = "unknown format"
    except DataError:
        raise
    except (OSError, SyntaxError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    else:
        return picture
    raise DataError(
        path, f"cannot be decoded as {kind} ({reason})", f"Replace it by an undamaged {' or '.join(formats)} file."
    )
