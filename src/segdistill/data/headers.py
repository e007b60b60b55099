"""What the first bytes of a file say: its format, its bits a channel, and how many channels it has."""

import io
from typing import Final

from PIL.TiffImagePlugin import ImageFileDirectory_v2

_SIGNATURES: Final = (
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"\x00\x00\x00\x0cjP", "JPEG 2000"),
    (b"\x93NUMPY", "NumPy"),
    (b"\x89HDF", "HDF5"),
    (b"MATLAB", "MATLAB"),
    (b"8BPS", "Photoshop"),
    (b"%PDF", "PDF"),
    (b"PK\x03\x04", "ZIP"),
    (b"version https://git-lfs", "Git LFS pointer"),
)
_TIFF: Final = (b"II*\x00", b"MM\x00*")
_WIDTH, _HEIGHT = 256, 257
_BITS, _PHOTOMETRIC, _SAMPLES, _EXTRA = 258, 262, 277, 338  # tags of TIFF
_COLORS: Final = {2: 3, 5: 4, 6: 3, 8: 3}  # channels of RGB, CMYK, YCbCr and Lab; grey and palettes have one


def format_of(content: bytes) -> str:
    """The name of a format that people keep masks and images in; empty for any other.

    >>> format_of(b"GIF89a"), format_of(b"hello")
    ('GIF', '')
    """
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WebP"
    if content[4:8] == b"ftyp":
        return "HEIC, AVIF or video"
    if content[:4] in _TIFF:
        return "TIFF"
    return next((name for start, name in _SIGNATURES if content.startswith(start)), "")


def depth_of(content: bytes) -> tuple[int, int, int]:
    """Bits a channel, channels, and how many of these are neither colour nor alpha, of a PNG or TIFF.

    Pillow keeps 8 bits and the channels that it knows. Other formats have no more: (8, 3, 0).

    Args:
        content: The file.
    """
    if content.startswith(b"\x89PNG") and len(content) > 25:
        return content[24], 3, 0
    if content[:4] not in _TIFF:
        return 8, 3, 0
    try:
        tags = _directory(content)
        samples = int(tags.get(_SAMPLES, 1))
        bits = max(map(int, tags.get(_BITS, (1,))))
        alphas = sum(int(kind) in (1, 2) for kind in tags.get(_EXTRA, ()))
        colors = _COLORS.get(int(tags.get(_PHOTOMETRIC, 1)), 1)
    except Exception:  # whatever a damaged directory raises; decoding says what is wrong
        return 8, 3, 0
    return bits, samples, max(0, samples - colors - min(alphas, 1))


def tiff_size(content: bytes) -> tuple[int, int]:
    """Height and width of a TIFF, of those too that Pillow does not know; (0, 0) for any other file."""
    if content[:4] not in _TIFF:
        return 0, 0
    try:
        tags = _directory(content)
        return int(tags[_HEIGHT]), int(tags[_WIDTH])
    except Exception:  # as above
        return 0, 0


def _directory(content: bytes) -> ImageFileDirectory_v2:
    """The first directory of a TIFF."""
    tags = ImageFileDirectory_v2(content[:8])
    stream = io.BytesIO(content)
    stream.seek(tags.next)
    tags.load(stream)
    return tags
