"""The class list of a folder: the file that its data set reads, or one of another name or kind."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from segdistill.data import CLASS_FILES, VOC_LABELS, Listing, listing
from segdistill.util import SegdistillError

_FURTHER: Final = (
    "_classes.csv", "train/_classes.csv", "classes.csv", "class_names.txt", "classnames.txt", "label_names.txt",
    "names.txt", "classes.names", "obj.names", "label.txt", "class.txt", "categories.txt",
)  # fmt: skip
_COLORED: Final = ("class_dict.csv", "class_dict_seg.csv", "label_colors.csv")  # name, r, g, b


class Classes(NamedTuple):
    """A class list that was found.

    Attributes:
        listed: The names; None if there is no list.
        source: Its file.
        options: What makes the data set read it.
        reasons: Why, by option.
    """

    listed: Listing | None
    source: str
    options: dict[str, Any]
    reasons: dict[str, str]


def find_classes(root: Path, images: Sequence[Path]) -> Classes:
    """The class list of a folder.

    Args:
        root: The folder.
        images: By whose names Pascal VOC is known.

    Raises:
        DataError: If the file that the data set reads by itself cannot be read.
    """
    found = listing(root, None)
    if found is not None:
        return Classes(found, next(name for name in CLASS_FILES if (root / name).is_file()), {}, {})
    for name in _FURTHER:
        if (root / name).is_file():
            try:
                further = listing(root, name)
            except SegdistillError:
                continue
            return Classes(further, name, {"classes": name}, {"classes": "proposal: this file looks like the names"})
    for name in _COLORED:
        if (root / name).is_file() and (table := _table(root / name)) is not None:
            assert table.colors is not None
            options = {"classes": list(table.ids), "colors": [list(color) for color in table.colors]}
            return Classes(table, name, options, {"classes": f"proposal: names and colours as {name} has them"})
    if images and root.joinpath("JPEGImages").is_dir() and all(_of_voc(image.stem) for image in images):
        names = list(VOC_LABELS.names)
        why = "proposal: files are named as those of Pascal VOC, so that these are its classes"
        ids = {name: [number] for number, name in enumerate(names)}
        return Classes(Listing(ids), "Pascal VOC", {"classes": names}, {"classes": why})
    return Classes(None, "", {}, {})


def _table(path: Path) -> Listing | None:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error):
        return None
    good = [row for row in rows if len(row) >= 4 and all(cell.isdecimal() for cell in row[1:4])]
    names = [row[0] for row in good]
    if len(good) < max(2, len(rows) - 1) or len(set(names)) < len(names):
        return None
    colors = [(int(row[1]), int(row[2]), int(row[3])) for row in good]
    return Listing({name: [number] for number, name in enumerate(names)}, colors)


def _of_voc(stem: str) -> bool:
    return len(stem) == 11 and stem[4] == "_" and stem.replace("_", "").isdecimal()
