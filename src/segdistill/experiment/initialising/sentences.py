"""What was found, in words and as proposals."""

from pathlib import Path
from typing import Any, Final

from segdistill.data import Folder
from segdistill.experiment.initialising.layouts import Layout
from segdistill.experiment.initialising.measures import Measures
from segdistill.experiment.initialising.tree import TEST, TRAIN, VAL, Tree
from segdistill.experiment.initialising.unlabelled import Unlabelled
from segdistill.experiment.initialising.writing import scalar
from segdistill.util import SegdistillError, shorten

_REMEDIES: Final = (
    ((".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"), "unpack them"),
    ((".gif", ".npy", ".npz", ".mat"), "if they are masks, save them as PNG"),
    (
        (".json", ".xml", ".parquet", ".arrow"),
        "if they are the export of a label tool, `segdistill import FOLDER --out NEW` draws masks from them",
    ),
)


def split_keys(layout: Layout) -> dict[str, str | None]:
    """Keys of ``data`` for splits whose words are not the usual ones."""
    keys: dict[str, str | None] = {}
    for role, usual in ((TRAIN, "train"), (VAL, "val"), (TEST, None)):
        word = layout.splits.get(role)
        if word != usual:
            keys[f"{role}_split"] = word
    return keys


def rivals(layout: Layout) -> list[tuple[str, str]]:
    """Other masks that fit the images as well."""
    return [(line, "these masks would fit the images as well") for line in layout.also[:3]]


def groups(root: Path, layout: Layout, options: dict[str, Any]) -> list[tuple[str, str]]:
    """Images of one folder, or whose names begin alike, may be of one drive or patient, which belong in one split."""
    if "shares" not in options or "group" in options:
        return []
    try:
        whole = options | {"group": "{group}/*", "shares": {"none": 1e-9}}
        folders = Folder(root, TRAIN, **whole).groups
    except SegdistillError:
        folders = ()  # not all images lie in folders
    if len(folders) > 3:
        return [('group: "{group}/*"', f"keeps images of one folder in one split ({len(folders)} folders)")]
    names = [image.stem for split in layout.samples.values() for image, _ in split]
    starts = {name.split("_")[0] for name in names}
    if not all("_" in name for name in names) or not 3 < len(starts) <= len(names) / 3:
        return []
    return [('group: "{group}_*"', f"keeps images that begin alike in one split ({len(starts)} beginnings)")]


def beside(tree: Tree) -> str:
    """What to do with the files that are no pictures, where there are no masks; empty if nothing is known."""
    said = ""
    for suffixes, remedy in _REMEDIES:
        if held := [f"{tree.suffixes[suffix]:,} {suffix}" for suffix in suffixes if tree.suffixes[suffix]]:
            said += f" There are other files ({shorten(held)}): {remedy}."
    return said


def unlabelled_and_scale(left: Unlabelled, measures: Measures) -> list[tuple[str, str]]:
    """Keys of ``data`` that are worth a thought, with what they do."""
    found = sorted((left.folders | left.lists).items(), key=lambda item: -item[1])[:1]
    asides = [
        (f"unlabelled: {scalar(str(path))}", f"{images_in_words(count)} without masks, for terms without labels")
        for path, count in found
    ]
    if measures.scale is not None:
        asides.append((f"image_scale: {measures.scale:g}", "reads large images smaller; the crop is then of these"))
    return asides


def sizes(measures: Measures) -> str:
    """Sizes of the images."""
    (height, width), (low, narrow), (high, wide) = measures.size, measures.smallest, measures.largest
    if measures.smallest == measures.largest:
        return f"all {height} x {width} (height x width)"
    return f"median {height} x {width} (height x width), from {low} x {narrow} to {high} x {wide}"


def without_masks(left: Unlabelled) -> str:
    """Where images without masks lie; empty if there are none."""
    parts = [f"{images_in_words(count)} in {folder}" for folder, count in left.folders.items()]
    if left.beside:
        by = (
            f" ({shorten(f'{count:,} of them in {path.name}' for path, count in left.lists.items())})"
            if left.lists
            else ""
        )
        parts.append(f"{images_in_words(left.beside)} beside those of the splits{by}; `data.unlabelled` can name a "
                     "list or a folder of them")  # fmt: skip
    return shorten(parts, 3)


def images_in_words(number: int) -> str:
    """A number of images."""
    return f"{number:,} image{'' if number == 1 else 's'}"
