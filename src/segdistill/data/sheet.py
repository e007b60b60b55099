"""A picture of a data set: samples with their masks laid over, the suspicious and the rare first."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from segdistill.data.base import SegmentationDataset
from segdistill.data.pictures import read_image
from segdistill.data.preview import preview
from segdistill.data.scan import ScanReport
from segdistill.labels import ClassLabel, LabelTable
from segdistill.types import IGNORE_INDEX
from segdistill.util import ArgumentError, DataError

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

MAX_TILES: Final = 60
"""More make a picture that nobody looks at."""

_WIDTH, _HEIGHT = 300, 225  # of a picture in its tile, pixels
_LINE, _LINES, _GAP = 16, 6, 12  # of text below it
_SWATCH = 11
_COLUMNS = 4
_OPACITY = 0.5
_INK, _PAPER, _ALARM = (30, 34, 40), (255, 255, 255), (176, 32, 32)


class Tile(NamedTuple):
    """One sample and why it is shown."""

    split: str
    position: int
    reason: str
    alarming: bool


def contact_sheet(sets: Mapping[str, SegmentationDataset], reports: Mapping[str, ScanReport]) -> Image.Image:
    """Draw what a person should see before training.

    First come samples with a fault and masks without a label. Then each class has the sample that shows most of it,
    the rarest class first. Pixels that do not count keep the image's colours.

    Args:
        sets: The splits by name.
        reports: Their scans.

    Returns:
        An RGB picture of up to ``MAX_TILES`` tiles.

    Raises:
        ValueError: If there is nothing to show.
    """
    tiles = choose_tiles(sets, reports)
    if not tiles:
        raise ArgumentError("`pictures` needs a data set with masks; no sample of any split has one.")
    columns = min(_COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    across, down = _WIDTH + _GAP, _HEIGHT + _LINE * _LINES + _GAP
    sheet = Image.new("RGB", (columns * across + _GAP, rows * down + _GAP), _PAPER)
    for place, tile in enumerate(tiles):
        row, column = divmod(place, columns)
        sheet.paste(_drawn(sets[tile.split], tile), (_GAP + column * across, _GAP + row * down))
    return sheet


def choose_tiles(sets: Mapping[str, SegmentationDataset], reports: Mapping[str, ScanReport]) -> list[Tile]:
    """What a contact sheet shows, in its order."""
    tiles = [
        Tile(split, index, "fault", alarming=True)
        for split, report in reports.items()
        for index in report.notable.faulty
    ]
    tiles += [
        Tile(split, index, "no labelled pixel", alarming=True)
        for split, report in reports.items()
        for index in report.notable.unlabelled
    ]
    rare = [
        (int(report.histogram[train_id]) / max(1, int(report.histogram.sum())), train_id, split, index)
        for split, report in reports.items()
        for train_id, index in report.notable.fullest.items()
    ]
    for share, train_id, split, index in sorted(rare):
        name = sets[split].labels.names[train_id]
        tiles.append(Tile(split, index, f"most of {name}, {100 * share:.2f} % of {split}", alarming=False))
    return tiles[:MAX_TILES]


def _drawn(dataset: SegmentationDataset, tile: Tile) -> Image.Image:
    """The picture of a sample with its mask, then its file, the reason, and the classes in it."""
    canvas = Image.new("RGB", (_WIDTH, _HEIGHT + _LINE * _LINES), _PAPER)
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(12)
    reason, present = tile.reason, list[ClassLabel]()
    try:
        image, mask = dataset.load(tile.position)
        present = _present(mask.numpy(), dataset.labels)
        canvas.paste(_overlaid(_picture(image), mask.numpy(), dataset.labels), (0, 0))
    except DataError as error:
        reason = f"{error.path.name} {error.problem}"
        if (alone := _image_alone(dataset.path(tile.position))) is not None:
            canvas.paste(alone, (0, 0))
    top = _HEIGHT + 2
    said = [f"{tile.split}: {dataset.path(tile.position).name}", *_wrapped(reason, font)]
    for text in said[:_LINES]:
        pen.text((0, top), text, fill=_ALARM if tile.alarming else _INK, font=font)
        top += _LINE
    left = 0.0
    for label in present:
        text = f"{label.id} {label.name}"
        width = _SWATCH + 4 + font.getlength(text) + 10
        if left and left + width > _WIDTH:
            left, top = 0.0, top + _LINE
        if top + _LINE > canvas.height:
            break
        pen.rectangle((left, top + 2, left + _SWATCH, top + 2 + _SWATCH), fill=label.color, outline=_INK)
        pen.text((left + _SWATCH + 4, top), text, fill=_INK, font=font)
        left += width
    return canvas


def _present(train_ids: NDArray[np.uint8], labels: LabelTable) -> list[ClassLabel]:
    """The classes of a mask, the largest first."""
    pixels = np.bincount(train_ids.ravel(), minlength=IGNORE_INDEX + 1)
    trained = {label.train_id: label for label in reversed(labels.labels) if not label.ignored}
    return [trained[train_id] for train_id in np.argsort(-pixels, kind="stable").tolist()
            if pixels[train_id] and train_id in trained]  # fmt: skip


def _picture(image: Tensor) -> Image.Image:
    """An image (C, H, W), as large as a tile allows."""
    picture = Image.fromarray(preview(image.as_subclass(Tensor)).permute(1, 2, 0).contiguous().numpy())
    picture.thumbnail((_WIDTH, _HEIGHT))
    return picture


def _image_alone(path: Path) -> Image.Image | None:
    """The image of a sample that has no readable mask; None if it cannot be read itself."""
    try:
        return _picture(read_image(path))
    except DataError:
        return None


def _overlaid(picture: Image.Image, train_ids: NDArray[np.uint8], labels: LabelTable) -> Image.Image:
    """The picture with the colours of its classes; pixels that do not count stay as they are."""
    ids = np.asarray(Image.fromarray(train_ids).resize(picture.size, Image.Resampling.NEAREST))
    colors = np.zeros((IGNORE_INDEX + 1, 3), np.uint8)
    colors[: labels.num_classes] = labels.colors
    mixed = Image.blend(picture, Image.fromarray(colors[ids]), _OPACITY)
    return Image.composite(mixed, picture, Image.fromarray(ids != IGNORE_INDEX))


def _wrapped(text: str, font: Font) -> list[str]:
    """Text in lines that fit a tile; words that do not fit are cut."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > _WIDTH:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
