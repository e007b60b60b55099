"""Images that no mask belongs to: in folders of their own, or beside those that have one."""

import re
from pathlib import Path
from typing import Final, NamedTuple

from segdistill.data import Place, files
from segdistill.experiment.initialising.ids import distinct
from segdistill.experiment.initialising.layouts import Layout
from segdistill.experiment.initialising.tree import SPLIT, Tree

_NO_IMAGES: Final = re.compile(r"mask|label(?!led)|annot|visual|overlay|colou?r|preview|instance|segment|depth", re.I)


class Unlabelled(NamedTuple):
    """Images without masks.

    Attributes:
        folders: Folders of them, with how many each has.
        beside: How many lie in folders of images with masks, and are in no split.
        lists: Text files that name these alone, with how many.
        faulty: How many images of the splits have no mask.
    """

    folders: dict[Path, int]
    beside: int
    lists: dict[Path, int]
    faulty: int


def find_unlabelled(tree: Tree, layout: Layout) -> Unlabelled:
    """What is left when the splits are taken away."""
    samples = [sample for split in layout.samples.values() for sample in split]
    images, masks = {image for image, _ in samples}, {mask for _, mask in samples if mask is not None}
    used = {path.parent for path in images | masks | {*layout.leftover}}
    unused = {
        folder
        for pair in layout.unused
        for word in layout.splits.values()
        for folder in Place.of(tree.root, pair.replace(SPLIT, word)).folders().values()
    }
    folders: dict[Path, int] = {}
    for name, count in tree.pictures.items():
        folder = tree.root / name
        other = _NO_IMAGES.search(name) or not unused.isdisjoint((folder, *folder.parents))
        if folder not in used and not other and _photographs(folder):
            folders[folder] = count
    taken = images | masks | {*layout.leftover}
    places = {image.parent for image in images} - {mask.parent for mask in masks}
    free = {path.stem for place in places if place.is_dir() for path in files(place) if path not in taken}
    lists: dict[Path, int] = {}
    for text in [*tree.texts, *_further(tree, layout)]:
        named = {Path(line).stem for line in _lines(tree.root / text)}
        if named and named <= free:  # a list with images of a split must not be learned from
            lists[tree.root / text] = len(named)
    faulty = sum(mask is not None and not mask.is_file() for _, mask in samples)
    return Unlabelled(folders, len(free), lists, faulty)


def _further(tree: Tree, layout: Layout) -> list[str]:
    """Lists whose pattern names a split that the layout has not."""
    words = set(layout.splits.values())
    return [
        pattern.replace("{split}", word)
        for pattern, roles in tree.lists.items()
        for word in roles.values()
        if word not in words
    ]


def _photographs(folder: Path) -> bool:
    look = distinct(files(folder)[0])
    return look is None or look[0] > 64


def _lines(path: Path) -> list[str]:
    try:
        return [line.split("\t")[0].strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line]
    except (OSError, UnicodeDecodeError):
        return []
