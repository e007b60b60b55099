"""Masks and overlays of files, folders and patterns."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

from segdistill.data import IMAGE_SUFFIXES
from segdistill.engine import Protocol
from segdistill.prediction.predictor import Predictor
from segdistill.util import ImageError


def find_images(source: str) -> list[tuple[Path, Path]]:
    """Images named by a file, a folder (searched deeply) or a glob pattern.

    Returns:
        Pairs of the image and its path relative to the common folder, sorted.

    Raises:
        ImageError: If nothing is found.
    """
    path = Path(source)
    if path.is_file():
        return [(path, Path(path.name))]
    if path.is_dir():
        base, found = path, [item for item in path.rglob("*") if item.is_file()]
    else:
        found = [Path(item) for item in glob.glob(source, recursive=True) if Path(item).is_file()]
        base = _common_folder(found)
    images = sorted(item for item in found if item.suffix.lower() in IMAGE_SUFFIXES)
    if not images:
        raise ImageError(f"{source} names no image: give an image, a folder of images or a quoted glob pattern.")
    return [(item, item.relative_to(base)) for item in images]


def _common_folder(paths: Sequence[Path]) -> Path:
    base = paths[0].parent if paths else Path()
    while not all(path.is_relative_to(base) for path in paths):
        base = base.parent
    return base


def predict_files(predictor: Predictor, source: str, out: Path, protocol: Protocol = Protocol()) -> Iterator[Path]:
    """Write ``<name>_mask.png`` and ``<name>_overlay.png`` for every image; yield the masks' paths.

    An image that cannot be read raises `ImageError` before its files are written; those before it are kept.
    """
    for image, relative in find_images(source):
        mask = predictor(image, protocol)
        folder, name = out / relative.parent, f"{relative.stem}_{relative.suffix[1:]}"  # a.png and a.jpg differ
        folder.mkdir(parents=True, exist_ok=True)
        mask_path = folder / f"{name}_mask.png"
        predictor.mask_image(mask).save(mask_path)
        predictor.overlay(image, mask).save(folder / f"{name}_overlay.png")
        yield mask_path
