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
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torchvision import tv_tensors

from segdistill.data.deep import as_pixels, deep_samples
from segdistill.data.headers import depth_of, format_of, tiff_size
from segdistill.data.limits import refuse_large
from segdistill.labels import LARGEST_ID
from segdistill.util import DataError, shorten

ByteMap: TypeAlias = NDArray[np.uint8]
IdMap: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]

IMAGE_FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
"""Pillow's names. No others: for some it would start programs."""

IMAGE_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""Of these formats, in lower case."""

_PLAIN_MODES: Final = ("L", "LA", "RGB", "RGBA")  # of Pillow: a byte a channel

MASK_FORMATS: Final = ("PNG", "BMP", "TIFF")
"""Those that keep every pixel as it is."""

_MOST_COLORS: Final = 64  # of a mask: more are a photograph


def read_image(path: Path | str, max_pixels: int | None = None, *, channels: int = 3) -> tv_tensors.Image:
    """Read a picture with all the bits that it has, turned upright as its EXIF orientation says.

    Args:
        path: A JPEG, PNG, WebP, BMP or TIFF file.
        max_pixels: Larger ones are refused unread; None for the limit of Pillow, 178,956,970, or its switch.
        channels: How many channels to give. Three are red, green and blue: grey is repeated. A file must have this
            number; an alpha channel is dropped where it is one too many.

    Returns:
        (C, H, W): a view of (H, W, C) in memory, which resizes several times faster than planes do. Channels of 8 bits
        are uint8; those of 16 bits float32 from 0 to 1, the stored number divided by 65535.

    Raises:
        DataError: If the file is missing, cannot be decoded, or has other channels.
        UnavailableError: If it is a deep image and the libraries that read it are missing.
    """
    path = Path(path)
    content = _content(path, "image")
    bits, _, further = depth_of(content)
    if bits > 8 or further:
        samples: NDArray[Any] = deep_samples(path, content, max_pixels)
        alpha = not further and samples.shape[-1] in (2, 4)
    else:
        picture = _decode(path, content, IMAGE_FORMATS, "image", max_pixels)
        ImageOps.exif_transpose(picture, in_place=True)
        if picture.mode != "RGB" and (channels == 3 or picture.mode not in _PLAIN_MODES):
            picture = picture.convert("L" if picture.mode == "1" else "RGB")
        samples = np.array(picture)
        samples = samples[..., None] if samples.ndim == 2 else samples
        alpha = "A" in picture.getbands()
    pixels = as_pixels(_with_channels(path, samples, channels, alpha))
    return tv_tensors.Image(pixels.permute(2, 0, 1))


def _with_channels(path: Path, samples: NDArray[Any], channels: int, alpha: bool) -> NDArray[Any]:
    """Samples (H, W, N) with the channels that are wanted, in memory of their own."""
    found = samples.shape[-1]
    if found == channels + 1 and alpha:
        samples = samples[..., :channels]
    elif found <= 2 and channels == 3:
        samples = samples[..., :1].repeat(3, axis=-1)
    elif found != channels:
        raise DataError(
            path,
            f"must have {_named(channels)}; it has {found}",
            f"Read them all with `data.channels={found}`, or save {channels} of them: none is dropped in silence.",
        )
    return np.ascontiguousarray(samples)


def _named(channels: int) -> str:
    return "the channels red, green and blue, or grey" if channels == 3 else f"{channels} channel{'s'[: channels > 1]}"


def read_mask(path: Path | str) -> IdMap:
    """Read a one-channel mask as stored: grey values, or the indices (not the colours) of a palette.

    Args:
        path: A PNG, BMP or TIFF file; not JPEG, whose compression alters labels.

    Returns:
        (H, W) ids: uint8 where they fit, else uint16.

    Raises:
        DataError: If the file is missing, cannot be decoded, has several channels, or values that are no ids.
    """
    path = Path(path)
    picture = _decode(path, _content(path, "mask"), MASK_FORMATS, "mask")
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
    path = Path(path)
    content = _content(path, "mask")
    picture = _decode(path, content, MASK_FORMATS, "mask")
    _refuse_deep(path, *depth_of(content))
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
        with open_header(path) as picture:
            return picture.height, picture.width
    except UnidentifiedImageError:
        return tiff_size(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return 0, 0


def channels_of(path: Path | str) -> tuple[int, int]:
    """How many channels of a picture to read, and their bits, by its header: (3, 8) for one that is RGB or grey."""
    bits, samples, further = depth_of(_content(Path(path), "image"))
    return (samples if further else 3), bits


def tiff_tags(path: Path | str, wanted: Iterable[int]) -> dict[int, Any]:
    """Tags of a TIFF file by number, of those that are wanted; none if it is another file or cannot be read."""
    try:
        with open_header(path, ("TIFF",)) as picture:
            held = getattr(picture, "tag_v2", {})
            return {tag: held[tag] for tag in wanted if tag in held}
    except (OSError, SyntaxError, ValueError):
        return {}


_UNGUARDED = threading.Lock()


def open_header(source: Path | str | io.BytesIO, formats: tuple[str, ...] = IMAGE_FORMATS) -> Image.Image:
    """Read the header of a picture of any size; who decodes it looks at the size first."""
    with _UNGUARDED:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(source, formats=formats)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _content(path: Path, kind: str) -> bytes:
    """The bytes of a file: Pillow leaves a file open when decoding fails."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(path, "does not exist", f"Restore this {kind}, or leave out what names it.") from None
    except OSError as error:
        raise DataError(
            path, f"cannot be decoded as {kind} ({error.strerror or error})", f"Give a file that holds this {kind}."
        ) from error


def _decode(
    path: Path, content: bytes, formats: tuple[str, ...], kind: str, max_pixels: int | None = None
) -> Image.Image:
    """Fully decode a picture; every way to fail becomes a ``DataError``."""
    try:
        picture = open_header(io.BytesIO(content), formats)
        refuse_large(path, picture.width, picture.height, kind, max_pixels)
        picture.load()
        return picture
    except DataError:
        raise
    except UnidentifiedImageError:
        reason = _foreign(path, format_of(content), formats, kind)
    except (OSError, SyntaxError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
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
    """Pillow would cut such colours to 8 bits and to the channels it knows, and say nothing."""
    if bits > 8:
        raise DataError(
            path,
            f"must have 8 bits per channel; it has {bits}",
            "Convert it to 8 bits per channel, each pixel in the colour of its class: nothing is cut in silence.",
        )
    if further:
        raise DataError(
            path,
            f"must have red, green and blue; it has {channels} channels, {further} of them neither colour nor alpha",
            "Save the mask as an RGB image, each pixel in the colour of its class.",
        )
