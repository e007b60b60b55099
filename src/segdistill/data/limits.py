"""How many pixels a picture may have: a file that is small on disk can fill the memory."""

import os
from pathlib import Path
from typing import Final

from PIL import Image

from segdistill.util import DataError

PIXELS_SWITCH: Final = "SEGDISTILL_MAX_PIXELS"
"""The environment variable that raises the limit on the pixels of a picture; workers inherit it."""


def pixel_limit() -> int | None:
    """Most pixels of a picture that is read: Pillow's limit, or its switch; None where Pillow's guard is off."""
    guard, switch = Image.MAX_IMAGE_PIXELS, os.environ.get(PIXELS_SWITCH, "")
    return None if guard is None else max(2 * guard, int(switch) if switch.isdecimal() else 0)


def refuse_large(path: Path, width: int, height: int, kind: str, max_pixels: int | None = None) -> None:
    """Refuse a picture before it is decoded.

    Args:
        path: The file.
        width: By its header.
        height: By its header.
        kind: What it is, for the message: ``image``.
        max_pixels: Most pixels; None for `pixel_limit`.

    Raises:
        DataError: If it has more; the message names the switch.
    """
    limit = pixel_limit() if max_pixels is None else max_pixels
    pixels = width * height
    if limit is not None and pixels > limit:
        predict = f"; to predict it, give `--max-pixels {pixels}` and `--window 1024x1024`" if kind == "image" else ""
        raise DataError(
            path,
            f"has {width} x {height} = {pixels:,} pixels; more than {limit:,} pixels are not read",
            f"Cut it into tiles, or allow more with the environment variable {PIXELS_SWITCH}=NUMBER{predict}.",
        )
