"""The pictures of a report: image, truth, predictions and their mistakes, small enough to travel in the file."""

import base64
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segdistill import store
from segdistill.labels import ignored_color
from segdistill.reports.findings.ranking import alone_of, main_rows
from segdistill.reports.findings.row import Row, row_label
from segdistill.store import ImageScore, Run
from segdistill.util import RunError

Color = tuple[int, int, int]

_MOST_SAMPLES = 12
_WIDTHS = (480, 384, 288, 208, 144)  # pixels; the first at which all pictures fit into the budget is taken
_MOST_BYTES = 3_600_000  # of all pictures, so that a report stays below ten megabytes whatever they show

RIGHT, WRONG, IGNORED = (238, 241, 244), (200, 72, 0), (150, 158, 166)
"""Colours of a map of mistakes: light, dark and in between, so that they differ without colour too."""


class Picture(NamedTuple):
    """A data URI and its size in pixels."""

    uri: str
    width: int
    height: int


class Prediction(NamedTuple):
    """What one row made of an image.

    Attributes:
        title: The row.
        picture: The predicted classes.
        errors: Where they differ from the truth.
        miou: Of this image, in [0, 1]; None if it is not known.
        gain: Points gained on the student alone in this image; None if it is not known.
        main: The row is one of those the report is about.
    """

    title: str
    picture: Picture
    errors: Picture
    miou: float | None
    gain: float | None
    main: bool


class Sample(NamedTuple):
    """One image, its truth, and what every row made of it.

    Attributes:
        name: Of the image.
        image: The photograph.
        truth: Its classes; ignored pixels have a colour of no class.
        predictions: One per row that has it.
        spread: Points between the best and the worst student; None if fewer than two are known.
        gain: Points that the best distilled row gained on the student alone; None if it is not known.
    """

    name: str
    image: Picture
    truth: Picture
    predictions: list[Prediction]
    spread: float | None
    gain: float | None


def make_gallery(rows: Sequence[Row]) -> list[Sample]:
    """The images of the first row with a gallery, each with the predictions of every row's first seed that has it.

    A row that shows another image under the same number is left out of that sample: side by side they would
    deceive. Pictures are made smaller, and if need be fewer, until they fit into a budget of bytes.

    Raises:
        RunError: If a picture is damaged.
    """
    folders = [row.runs[0].folder / store.GALLERY if row.runs else None for row in rows]
    first = next((folder for folder in folders if folder and folder.is_dir()), None)
    if first is None:
        return []
    paths = sorted(first.glob("image_*.png"))[:_MOST_SAMPLES]
    samples: list[Sample] = []
    for width in _WIDTHS:
        samples, used = [], 0
        for path in paths:
            sample = _sample(path, rows, folders, width)
            used += _bytes(sample)
            if used > _MOST_BYTES:
                break
            samples.append(sample)
        else:
            break
    return sorted(samples, key=lambda sample: -(sample.spread or 0.0))


def _sample(path: Path, rows: Sequence[Row], folders: Sequence[Path | None], width: int) -> Sample:
    number = re.sub(r"\D", "", path.stem)
    image, truth = _open(path), _open(path.with_name(f"truth_{number}.png"))
    made: dict[int, Prediction] = {}
    scores = [_score(row.runs[0], int(number)) if row.runs else None for row in rows]
    main = main_rows(rows)
    tables = (run.result.labels for row in rows for run in row.runs)
    ignored = ignored_color(next((table.colors for table in tables if table), []))
    for index, (row, folder) in enumerate(zip(rows, folders, strict=True)):
        if folder is None or not _same(folder / path.name, image):
            continue
        mask = folder / f"prediction_{number}.png"
        if mask.is_file():
            made[index] = _prediction(row_label(row), _open(mask), truth, ignored, width)._replace(
                miou=scores[index], gain=_points(rows, scores, index), main=index in main
            )
    if not any(row.kind == "teacher" for row in rows):
        foreign = (f / f"teacher_{number}.png" for i, f in enumerate(folders) if f is not None and i in made)
        mask = next((mask for mask in foreign if mask.is_file()), Path())
        if mask.is_file():
            made[-1] = _prediction("teacher", _open(mask), truth, ignored, width)
    students = [score for i in made if i >= 0 and rows[i].kind != "teacher" and (score := scores[i]) is not None]
    best = main[-1] if main else 0
    return Sample(
        name=_name(rows, folders, path, int(number)),
        image=_encode(_shrink(image, width, Image.Resampling.LANCZOS), "JPEG", quality=85),
        truth=_mask(truth, width),
        predictions=[made[index] for index in sorted(made)],
        spread=100 * (max(students) - min(students)) if len(students) > 1 else None,
        gain=made[best].gain if best in made else None,
    )


def error_map(truth: Image.Image, prediction: Image.Image, ignored: Color = (0, 0, 0)) -> Image.Image:
    """Where two pictures of classes differ, in three colours; pixels of the colour ``ignored`` do not count.

    >>> truth, prediction = Image.new("RGB", (2, 1), (9, 9, 9)), Image.new("RGB", (2, 1), (9, 9, 9))
    >>> truth.putpixel((0, 0), (0, 0, 0)); prediction.putpixel((1, 0), (1, 2, 3))
    >>> [error_map(truth, prediction).getpixel((x, 0)) for x in (0, 1)] == [IGNORED, WRONG]
    True
    """
    if prediction.size != truth.size:
        prediction = prediction.resize(truth.size, Image.Resampling.NEAREST)
    first, second = np.asarray(truth), np.asarray(prediction)
    wrong = (first != second).any(-1).astype(np.uint8)
    wrong[(first == ignored).all(-1)] = 2
    return Image.fromarray(np.array([RIGHT, WRONG, IGNORED], np.uint8)[wrong])


def _prediction(title: str, mask: Image.Image, truth: Image.Image, ignored: Color, width: int) -> Prediction:
    errors = error_map(truth, mask, ignored)
    return Prediction(title, _mask(mask, width), _mask(errors, width), None, None, True)


def _score(run: Run, number: int) -> float | None:
    sample = _find(run, number)
    return sample.miou if sample else None


def _find(run: Run, number: int) -> ImageScore | None:
    return run.gallery[number] if number < len(run.gallery) else None


def _name(rows: Sequence[Row], folders: Sequence[Path | None], path: Path, number: int) -> str:
    owner = next(row for row, folder in zip(rows, folders, strict=True) if folder == path.parent)
    sample = _find(owner.runs[0], number)
    return sample.name if sample else f"image {number + 1}"


def _points(rows: Sequence[Row], scores: Sequence[float | None], index: int) -> float | None:
    base = alone_of(rows, rows[index])
    score, alone = scores[index], None if base is None else scores[base]
    return None if score is None or alone is None else 100 * (score - alone)


def _same(path: Path, image: Image.Image) -> bool:
    return path.is_file() and _open(path).tobytes() == image.tobytes()


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            return picture.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise RunError(f"{path} is not a readable PNG ({error}). Delete the gallery folder to do without.") from None


def _shrink(picture: Image.Image, width: int, resampling: Image.Resampling) -> Image.Image:
    small = picture.copy()
    small.thumbnail((width, width), resampling)
    return small


def _mask(picture: Image.Image, width: int) -> Picture:
    """A picture of few colours: of classes or mistakes; nearest neighbours, since a blend would be another class."""
    small = _shrink(picture, width, Image.Resampling.NEAREST)
    pixels: NDArray[np.uint32] = np.asarray(small).astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    colors, index = np.unique(pixels, return_inverse=True)
    if len(colors) <= 256:
        palette = np.stack([colors >> 16, colors >> 8 & 255, colors & 255], -1).astype(np.uint8)
        small = Image.fromarray(index.reshape(pixels.shape).astype(np.uint8), "P")
        small.putpalette(palette.tobytes())
    return _encode(small, "PNG", optimize=True)


def _encode(picture: Image.Image, file_format: str, **options: Any) -> Picture:
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Picture(f"data:image/{file_format.lower()};base64,{data}", picture.width, picture.height)


def _bytes(sample: Sample) -> int:
    pictures = [sample.image, sample.truth, *(p for each in sample.predictions for p in (each.picture, each.errors))]
    return sum(len(picture.uri) for picture in pictures)
