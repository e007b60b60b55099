"""Images with more than 8 bits per channel or more than three channels: satellite, RGB-D, 16-bit cameras.

Pillow would cut them to 8 bits and to the channels that it knows. Tifffile and imagecodecs read them as they are.
"""

import io
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segdistill.data.limits import refuse_large
from segdistill.util import DataError, UnavailableError

Samples: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]

_LARGEST: Final = 65535  # that a sample of 16 bits can be

_UPRIGHT: Final = {  # by the TIFF tag 274: mirrored along a width, turned by quarters
    2: (True, 0),
    3: (False, 2),
    4: (True, 2),
    5: (True, 1),
    6: (False, 3),
    7: (True, 3),
    8: (False, 1),
}


def deep_samples(path: Path, content: bytes, max_pixels: int | None) -> Samples:
    """The samples of a PNG or TIFF, as stored and upright.

    Args:
        path: The file, for messages.
        content: Its bytes.
        max_pixels: Larger images are refused before they are decoded; None for the limit of `limits`.

    Returns:
        (H, W, N), uint8 or uint16.

    Raises:
        DataError: If it cannot be decoded, is too large, or holds other numbers.
        UnavailableError: If the libraries are missing.
    """
    try:
        import imagecodecs
        import tifffile
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"{path} has more than 8 bits or three channels, and {error.name} is needed to read it. "
            'Install it: pip install "segdistill[deep]". Nothing is cut to 8 bits in silence.'
        ) from error
    try:
        if content.startswith(b"\x89PNG"):
            refuse_large(path, *_png_size(content), "image", max_pixels)
            values = imagecodecs.png_decode(content)
        else:
            with tifffile.TiffFile(io.BytesIO(content)) as file:
                values = _of_tiff(path, file, max_pixels)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # whatever the parsers raise for a damaged file
        raise DataError(
            path, f"cannot be decoded as image ({error})", "Replace it by an undamaged PNG or TIFF file."
        ) from error
    if values.dtype not in (np.uint8, np.uint16):
        raise DataError(
            path,
            f"must hold whole numbers of 8 or 16 bits without a sign; it holds {values.dtype}",
            "Save it as 16-bit PNG or TIFF, all files with the same scale.",
        )
    shaped: Samples = values[..., None] if values.ndim == 2 else values
    return shaped


def as_pixels(samples: NDArray[Any]) -> Tensor:
    """Stored samples as pixels of the same shape: bytes as they are, numbers of 16 bits as float32 from 0 to 1."""
    return torch.from_numpy(samples if samples.dtype == np.uint8 else samples.astype(np.float32) / _LARGEST)


def to_unit(image: Tensor) -> Tensor:
    """Pixels as floats from 0 to 1, of bytes or of that already."""
    return image.float() / 255 if image.dtype == torch.uint8 else image


def as_samples(pixels: Tensor) -> Samples:
    """What `as_pixels` made pixels of, to the bit."""
    values = pixels.numpy()
    return values if values.dtype == np.uint8 else (values * _LARGEST).round().astype(np.uint16)


def _of_tiff(path: Path, file: Any, max_pixels: int | None) -> NDArray[Any]:
    """The first series of a TIFF with its channels last: planes and pages of one size are channels too."""
    series, page = file.series[0], file.pages[0]
    refuse_large(path, page.imagewidth, page.imagelength, "image", max_pixels)
    values: NDArray[Any] = np.squeeze(series.asarray())
    if values.ndim == 3 and values.shape[-2:] == (page.imagelength, page.imagewidth):
        values = np.moveaxis(values, 0, -1)
    if values.shape[:2] != (page.imagelength, page.imagewidth) or values.ndim > 3:
        raise DataError(
            path,
            f"must hold one image; it holds an array of the axes {series.axes} and the shape {tuple(series.shape)}",
            "Save height, width and channels alone.",
        )
    mirrored, quarters = _UPRIGHT.get(int(page.tags.valueof(274, default=1)), (False, 0))
    return np.rot90(values[:, ::-1] if mirrored else values, quarters)


def _png_size(content: bytes) -> tuple[int, int]:
    """Width and height by the header."""
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
