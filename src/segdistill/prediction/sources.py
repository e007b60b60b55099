"""Which images are meant: files, folders, patterns and lists become images and their places in the output."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from segdistill.data import IMAGE_SUFFIXES
from segdistill.prediction.outputs import FOLDERS, RECORD
from segdistill.prediction.video import VIDEO_SUFFIXES, is_video
from segdistill.util import ImageError, MissingFileError


class Found(NamedTuple):
    """What the sources name.

    Attributes:
        images: Every image, or video, once, in the order of the sources.
        places: For each, its path in the output without a suffix: relative to the folder that all have in common.
        skipped: Files that were named and are no images.
        missing: What was named and is not there, with the reason.
    """

    images: list[Path]
    places: list[Path]
    skipped: list[Path]
    missing: list[tuple[Path, str]]


def find_images(sources: Sequence[str | Path], *, but: Sequence[Path] = ()) -> Found:
    """Images named by files, folders (searched deeply) and glob patterns.

    Hidden files, those that a Mac leaves (``._photo.jpg``) and files of other kinds are no images. In a folder, what
    an earlier prediction wrote is left out, and so are videos: they are taken where they are named.

    Args:
        sources: Files, folders, patterns.
        but: Folders that are left out: those that will be written.

    Raises:
        ImageError: If nothing is found.
    """
    found: dict[Path, None] = {}  # absolute, in order
    shown: dict[Path, Path] = {}
    bases: list[Path] = []
    skipped: list[Path] = []
    missing: list[tuple[Path, str]] = []
    left_out = [_absolute(folder) for folder in but]
    for source in sources:
        path = Path(source)
        if path.is_file():
            files, base = [path], path.parent
            skipped += [] if _is_image(path) or is_video(path) else [path]
        elif path.is_dir():
            files, base = _visible(sorted(path.rglob("*")), path), path
            left_out += [_absolute(item.parent / name) for item in files if item.name == RECORD for name in FOLDERS]
        elif matches := [Path(item) for item in sorted(glob.glob(str(source), recursive=True)) if Path(item).is_file()]:
            base = _common([_absolute(item.parent) for item in matches])
            files = _visible(matches, base)
        else:
            pattern = glob.has_magic(str(source))
            missing.append((path, "matches no file" if pattern else "does not exist"))
            continue
        wanted = [item for item in files if _is_image(item) or (is_video(item) and not path.is_dir())]
        files = [item for item in wanted if not _below(_absolute(item), left_out)]
        if files:
            bases.append(_absolute(base))
        for item in files:
            shown.setdefault(_absolute(item), item)
            found[_absolute(item)] = None
    if not found:
        named = ", ".join(str(source) for source in sources[:3]) + (", ..." if len(sources) > 3 else "")
        raise ImageError(
            f"{named or 'nothing'} names no image: give images, a folder of images or a quoted glob pattern; "
            f"an image ends in {', '.join(IMAGE_SUFFIXES)}, a video in {', '.join(VIDEO_SUFFIXES)}."
        )
    base = _common(bases)
    places = _places([item.relative_to(base) for item in found])
    return Found([shown[item] for item in found], places, skipped, missing)


def read_list(file: Path) -> list[Path]:
    """Paths of a text file, one a line, relative to the current folder or else to that of the file.

    Raises:
        MissingFileError: If the file is not there.
        ImageError: If it is no text, or names nothing.
    """
    if not file.is_file():
        raise MissingFileError(f"{file} must be a text file with a path a line; there is no such file.")
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise ImageError(f"{file} must be a text file with a path a line; it is not UTF-8 text.") from None
    if not any(lines):
        raise ImageError(f"{file} must be a text file with a path a line; it is empty.")
    beside = {line: file.parent / line for line in lines if line}
    return [path if path.exists() and not Path(line).exists() else Path(line) for line, path in beside.items()]


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("._")


def _visible(paths: Iterable[Path], base: Path) -> list[Path]:
    """Files without a hidden name or folder below the base."""
    start = _absolute(base)
    kept = []
    for path in paths:
        parts = _absolute(path).relative_to(start).parts
        if not any(part.startswith(".") for part in parts) and path.is_file():
            kept.append(path)
    return kept


def _below(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _common(folders: Sequence[Path]) -> Path:
    return Path(os.path.commonpath(folders))


def _places(relative: Sequence[Path]) -> list[Path]:
    """Paths without suffix; it stays in the name where two images would have one place: ``a.jpg``, ``a.png``."""
    places = [path.with_suffix("") for path in relative]
    while True:
        counts = Counter(places)
        clashes = [i for i, place in enumerate(places) if counts[place] > 1 and place != relative[i]]
        if not clashes:
            return places
        for i in clashes:
            places[i] = relative[i]
