"""Decoding images and masks: the one place where a picture file is read.

With Pillow: the image decoders of ``torchvision.io`` are deprecated since 0.29, and Pillow gives the indices of palette
masks.
"""

import io
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torchvision import tv_tensors

from segdistill.data.headers import depth_of, format_of
from segdistill.labels import LARGEST_ID
from segdistill.util import DataError, shorten

ByteMap: TypeAlias = NDArray[np.uint8]
IdMap: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]

IMAGE_FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
"""Pillow's names. No others: for some it would start programs."""

IMAGE_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""Of these formats, in lower case."""

MASK_FORMATS: Final = ("PNG", "BMP", "TIFF")
"""Those that keep every pixel as it is."""

_MOST_COLORS: Final = 64  # of a mask: more are a photograph

PIXELS_SWITCH: Final = "SEGDISTILL_MAX_PIXELS"
"""The environment variable that raises the limit on the pixels of a picture; workers inherit it."""


def read_image(path: Path | str, max_pixels: int | None = None) -> tv_tensors.Image:
    """Read a picture as RGB, turned upright as its EXIF orientation says.

    Args:
        path: A JPEG, PNG, WebP, BMP or TIFF file. Alpha is dropped, grey is repeated.
        max_pixels: Larger ones are refused unread; None for the limit of Pillow, 178,956,970, or its switch.

    Returns:
        (3, H, W), uint8: a view of (H, W, 3) in memory, which resizes several times faster than planes do.

    Raises:
        DataError: If the file is missing, cannot be decoded, or has more than 8 bits per channel or further channels.
    """
    picture = _decode(Path(path), IMAGE_FORMATS, "image", deep=False, max_pixels=max_pixels)
    ImageOps.exif_transpose(picture, in_place=True)
    rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
    return tv_tensors.Image(torch.from_numpy(np.array(rgb)).permute(2, 0, 1))


def read_mask(path: Path | str) -> IdMap:
    """Read a one-channel mask as stored: grey values, or the indices (not the colours) of a palette.

    Args:
        path: A PNG, BMP or TIFF file; not JPEG, whose compression alters labels.

    Returns:
        (H, W) ids: uint8 where they fit, else uint16.

    Raises:
        DataError: If the file is missing, cannot be decoded, has several channels, or values that are no ids.
    """
    picture = _decode(Path(path), MASK_FORMATS, "mask")
    ids = np.array(picture)
    if ids.ndim != 2 or ids.dtype.kind == "f":
        has = "an alpha channel" if "A" in picture.getbands() else f"the mode {picture.mode}"
        counted = picture.convert("RGB").getcolors(_MOST_COLORS) if picture.mode in ("RGB", "RGBA") else None
        colors = sorted([*color] for _, color in counted or () if isinstance(color, tuple))
        found = f": {colors}" if len(colors) > 1 else ""
        raise DataError(
            path,
            f"must have one channel of class ids; it has {has}",
            "Save it as a grey or palette PNG of ids, without transparency. If its colours mean classes, give a "
            f"`folder` data set that of every class (`data.options.colors{found}`).",
        )
    if ids.dtype in (np.uint8, np.bool_):
        return ids.astype(np.uint8)
    wrong = (ids < 0) | (ids > LARGEST_ID)
    if wrong.any():
        raise DataError(
            path,
            f"must hold ids from 0 to {LARGEST_ID}; {np.count_nonzero(wrong):,} of its {wrong.size:,} pixels hold "
            f"others: {shorten(np.unique(ids[wrong]).tolist())}",
            "Save the mask again with ids in this range; write one for pixels without a class, such as 255, and name "
            "it (`data.options.ignore: [255]`).",
        )
    return ids.astype(np.uint8) if ids.max(initial=0) <= 255 else ids.astype(np.uint16)


def read_colors(path: Path | str) -> ByteMap:
    """Read a mask whose colours mean classes.

    Returns:
        (H, W, 3), uint8.

    Raises:
        DataError: If the file is missing, cannot be decoded, has more than 8 bits per channel, or is transparent.
    """
    picture = _decode(Path(path), MASK_FORMATS, "mask", deep=False)
    if "A" in picture.getbands() and picture.getchannel("A").getextrema() != (255, 255):
        raise DataError(
            path,
            "has pixels that are transparent, so that their colour says nothing sure",
            "Save the mask without transparency, each pixel in the colour of its class.",
        )
    return np.array(picture.convert("RGB"))


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
    guard, switch = Image.MAX_IMAGE_PIXELS, os.environ.get(PIXELS_SWITCH, "")
    limit = max_pixels
    if limit is None and guard is not None:
        limit = max(2 * guard, int(switch) if switch.isdecimal() else 0)
    pixels = picture.width * picture.height
    if limit is not None and pixels > limit:
        predict = f"; to predict it, give `--max-pixels {pixels}` and `--window 1024x1024`" if kind == "image" else ""
        raise DataError(
            path,
            f"has {picture.width} x {picture.height} = {pixels:,} pixels; more than {limit:,} pixels are not read",
            f"Cut it into tiles, or allow more with the environment variable {PIXELS_SWITCH}=NUMBER{predict}.",
        )


def _decode(
    path: Path, formats: tuple[str, ...], kind: str, *, deep: bool = True, max_pixels: int | None = None
) -> Image.Image:
    """Read and fully decode a picture, unless it is too ``deep``; every way to fail becomes a ``DataError``."""
    content, depth = b"", (8, 3, 0)
    try:
        # From memory, since Pillow leaves a file open when decoding fails.
        content = path.read_bytes()
        if not deep:
            depth = depth_of(content)
        picture = _open(io.BytesIO(content), formats)
        _check_size(path, picture, kind, max_pixels)
        picture.load()
    except FileNotFoundError:
        raise DataError(path, "does not exist", f"Restore this {kind}, or leave out what names it.") from None
    except DataError:
        raise
    except UnidentifiedImageError:
        _refuse_deep(path, *depth)
        reason = _foreign(path, format_of(content), formats, kind)
    except (OSError, SyntaxError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    else:
        _refuse_deep(path, *depth)
        return picture
    raise DataError(
        path, f"cannot be decoded as {kind} ({reason})", f"Replace it by an undamaged {' or '.join(formats)} file."
    )


def _foreign(path: Path, found: str, formats: tuple[str, ...], kind: str) -> str:
    """Why a file of no format that is read is refused; raises where the remedy is to convert it."""
    if not found:
        return "unknown format"
    if found.upper() in formats:
        return f"damaged or unusual {found}"
    lossy = ", whose compression alters ids" if found in ("JPEG", "WebP") else ""
    kept = "which keeps every id; start from the original, not from this file" if lossy else "which keeps every pixel"
    raise DataError(path, f"cannot be decoded as {kind}: it is a {found} file{lossy}", f"Save it as PNG, {kept}.")


def _refuse_deep(path: Path, bits: int, channels: int, further: int) -> None:
    """Pillow would cut such an image to 8 bits and to the channels it knows, and say nothing."""
    if bits > 8:
        raise DataError(
            path,
            f"must have 8 bits per channel; it has {bits}",
            "Convert it to 8 bits per channel, all files with the same scale: nothing is cut in silence.",
        )
    if further:
        raise DataError(
            path,
            f"must have the channels red, green and blue, or grey; it has {channels}, {further} of them neither colour "
            "nor alpha",
            "Save three of them as an RGB image: further channels are not read yet, and none is dropped in silence.",
        )
