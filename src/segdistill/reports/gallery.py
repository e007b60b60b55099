"""The pictures of a report: image, truth and predictions side by side, small enough to travel in the file."""

import base64
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from segdistill import rundir
from segdistill.reports.table import KIND_NAMES, Row
from segdistill.rundir import RunError

_MOST_SAMPLES = 8
_MOST_COLUMNS = 8
_WIDEST = 480  # pixels
_MOST_BYTES = 4_000_000  # of all pictures, so that a report stays below ten megabytes whatever they show


class Picture(NamedTuple):
    """One picture: what it shows, its data URI, and its size in pixels."""

    title: str
    uri: str
    width: int
    height: int


def make_gallery(rows: Sequence[Row]) -> list[list[Picture]]:
    """For every sample the image, the truth, and the prediction of each row's first seed.

    Rows that show other images than the first row with a gallery are left out: side by side they would
    deceive.

    Raises:
        RunError: If a picture is damaged.
    """
    folders = [(row, row.runs[0].folder / rundir.GALLERY) for row in rows]
    folders = [(row, folder) for row, folder in folders if folder.is_dir()][:_MOST_COLUMNS]
    if not folders:
        return []
    samples: list[list[Picture]] = []
    for path in sorted(folders[0][1].glob("image_*.png"))[:_MOST_SAMPLES]:
        number = re.sub(r"\D", "", path.stem)
        image, truth = _open(path), _open(path.with_name(f"truth_{number}.png"))
        sample = [_photograph("image", image), _mask("truth", truth)]
        for row, folder in folders:
            own, prediction = folder / path.name, folder / f"prediction_{number}.png"
            if prediction.is_file() and own.is_file() and _open(own).tobytes() == image.tobytes():
                sample.append(_mask(f"{row.name} ({KIND_NAMES[row.kind]})", _open(prediction)))
        samples.append(sample)
        if sum(len(picture.uri) for shown in samples for picture in shown) > _MOST_BYTES:
            return samples[:-1]
    return samples


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            return picture.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise RunError(f"{path} is not a readable PNG ({error}). Delete the gallery folder to do without.") from None


def _photograph(title: str, picture: Image.Image) -> Picture:
    return _encode(title, _shrink(picture, Image.Resampling.LANCZOS), "JPEG", quality=88)


def _mask(title: str, picture: Image.Image) -> Picture:
    return _encode(title, _shrink(picture, Image.Resampling.NEAREST), "PNG", optimize=True)


def _shrink(picture: Image.Image, resampling: Image.Resampling) -> Image.Image:
    small = picture.copy()
    small.thumbnail((_WIDEST, _WIDEST), resampling)
    return small


def _encode(title: str, picture: Image.Image, file_format: str, **options: int) -> Picture:
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Picture(title, f"data:image/{file_format.lower()};base64,{data}", picture.width, picture.height)
