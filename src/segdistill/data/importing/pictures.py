"""The picture of an item of an export, looked at before anything is copied."""

import io
import os
import shutil
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from PIL import UnidentifiedImageError

from segdistill.data.importing.rasters import Mask, Unfit
from segdistill.data.limits import PIXELS_SWITCH, refuse_large
from segdistill.data.pictures import IMAGE_SUFFIXES, open_header
from segdistill.util import DataError

_ORIENTATION: Final = 0x0112
_SUFFIXES: Final = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif"}


class Picture(NamedTuple):
    """An image file, or its content.

    Attributes:
        source: Where it is.
        suffix: What its name shall end with.
        stored: Height and width of what is stored.
        orientation: EXIF's number; 1 is upright.
    """

    source: Path | bytes
    suffix: str
    stored: tuple[int, int]
    orientation: int

    @property
    def upright(self) -> tuple[int, int]:
        """Height and width once it is turned, as `read_image` does."""
        return self.stored[::-1] if self.orientation >= 5 else self.stored


def picture_of(media: Any, source: Path) -> Picture:
    """What an item shows.

    Raises:
        Unfit: If it is no image file inside ``source``.
    """
    path = getattr(media, "path", None)
    content: Path | bytes
    if path:
        content = Path(path)
        if not content.resolve().is_relative_to(source.resolve()):
            raise Unfit("the image lies outside the export")
        if not content.is_file():
            raise Unfit("the image is missing")
        if content.suffix.lower() not in IMAGE_SUFFIXES:
            raise Unfit("the image has another format than JPEG, PNG, WebP, BMP or TIFF")
    else:
        content = getattr(media, "bytes", None) or b""
        if not content:
            raise Unfit("there is no image")
    try:
        opened = content if isinstance(content, Path) else io.BytesIO(content)
        with open_header(opened) as picture:
            refuse_large(Path("image"), picture.width, picture.height, "export")
            size, orientation = (picture.height, picture.width), int(picture.getexif().get(_ORIENTATION, 1))
            suffix = content.suffix if isinstance(content, Path) else _SUFFIXES[picture.format or ""]
    except DataError:
        raise Unfit(f"the image has more pixels than are read; {PIXELS_SWITCH}=NUMBER allows more") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, KeyError):
        raise Unfit("the image cannot be read") from None
    return Picture(content, suffix, size, orientation)


def canvas_of(picture: Picture, declared: tuple[int, int] | None) -> tuple[int, int]:
    """The size that annotations are drawn at: theirs, which must be the image's, upright or as stored.

    Raises:
        Unfit: If it is neither.
    """
    if declared not in (None, picture.upright, picture.stored):
        raise Unfit("the annotations are of another size than the image")
    return declared or picture.upright


def upright(mask: Mask, picture: Picture) -> Mask:
    """A mask turned as its image will be, if it was drawn at the stored size."""
    if mask.shape == picture.upright:
        return mask
    turned = mask.T  # orientations from 5 on swap the axes, and then flip
    if picture.orientation in (6, 7):
        turned = turned[:, ::-1]
    if picture.orientation in (7, 8):
        turned = turned[::-1]
    return np.ascontiguousarray(turned)


def put(picture: Picture, target: Path) -> None:
    """Write the image: a hard link where the disk can do that, else a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(picture.source, bytes):
        target.write_bytes(picture.source)
        return
    real = picture.source.resolve()
    try:
        os.link(real, target)
    except OSError:
        shutil.copyfile(real, target)
