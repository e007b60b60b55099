"""Where on Earth a GeoTIFF lies: its tags, copied to its mask. Needs no library beside Pillow."""

from pathlib import Path
from typing import Any, Final

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from segdistill.data import tiff_tags

Tags = dict[int, Any]

SHORT, DOUBLE, ASCII = 3, 12, 2
KINDS: Final = {33550: DOUBLE, 33922: DOUBLE, 34264: DOUBLE, 34735: SHORT, 34736: DOUBLE, 34737: ASCII}
"""Scale, tie points, transformation, and the three tags of the coordinate system, by the GeoTIFF standard."""

ORIENTATION: Final = 274


def georeference(path: Path) -> Tags:
    """The tags of a GeoTIFF; empty for any other picture, and for one that is turned when it is read."""
    tags = tiff_tags(path, (*KINDS, ORIENTATION))
    return {} if tags.pop(ORIENTATION, 1) != 1 else tags


def save_georeferenced(picture: Image.Image, file: Path, tags: Tags) -> None:
    """Write a picture as a GeoTIFF, compressed without loss."""
    directory = ImageFileDirectory_v2()
    for tag, value in tags.items():
        directory[tag] = value
        directory.tagtype[tag] = KINDS[tag]
    picture.save(file, tiffinfo=directory, compression="tiff_deflate")
