"""Which folder holds images, which their masks, and what says the splits: tried with the data set that will read it."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from segdistill.data import Folder
from segdistill.experiment.initialising.pairs import pairs_of, strangeness, ways
from segdistill.experiment.initialising.rating import PLACEHOLDER, Fit, fit, rivals, unused
from segdistill.experiment.initialising.tree import ANY, SPLIT, TEST, TRAIN, VAL, Roles, Tree
from segdistill.util import DataError, SegdistillError

Samples = dict[str, list[tuple[Path, Path | None]]]

_SHARES: Final = [(share, seed) for share in (0.2, 0.3, 0.5) for seed in range(10)]
_MOST: Final = 400  # pairs that are tried


class Layout(NamedTuple):
    """How a folder is to be opened.

    Attributes:
        dataset: Name in ``DATASETS``.
        splits: The layout's own word by role.
        options: Of the data set; without what it finds by itself.
        samples: Image and mask files by role.
        said: What it is, in words.
        leftover: Masks without an image.
        also: Options for other masks that fit these images as well.
        unused: Images of further pairs of folders, which it leaves out.
    """

    dataset: str
    splits: Roles
    options: dict[str, Any]
    samples: Samples
    said: str
    leftover: list[Path]
    also: Sequence[str] = ()
    unused: Sequence[str] = ()


def find_layout(tree: Tree) -> tuple[Layout | None, list[SegdistillError]]:
    """The pair of folders that fits best, and why others do not."""
    refused: list[SegdistillError] = []
    fits: list[Fit] = []
    total = sum(tree.pictures.values())
    for images, masks, roles in itertools.islice(pairs_of(tree), _MOST):
        if any(
            one.rank.sound and one.rank.foreign < strangeness(images, masks) and one.pairs > total / 4 for one in fits
        ):
            break  # names are worse from here on, and what was found is most of what there is
        if any(one.covers(images, masks) for one in fits):
            continue
        for options in ways(tree, images, masks, roles):
            one = fit(tree, options, roles, refused)
            if one is not None:
                fits.append(one)
                if one.rank.sound and not one.rank.colors:
                    break  # the options that follow say more
    if not fits:
        return None, refused
    fits = [one for one in fits if not one.rank.photo] or fits
    most = max(one.pairs for one in fits)
    best = min((one for one in fits if one.pairs > most / 2), key=lambda one: one.rank)
    further = unused(best, fits)
    layout = _finish(tree, best.options, best.roles)
    return layout._replace(also=rivals(best, fits, further), unused=further), refused


def _finish(tree: Tree, options: dict[str, Any], roles: Roles) -> Layout:
    """Say the splits: by folders, by lists, else by shares; then leave out what the data set finds by itself."""
    splits, options = _splits(tree, options, roles)
    opened = {}
    for role, word in splits.items():
        try:
            opened[role] = Folder(tree.root, word, **(options | PLACEHOLDER))
        except (SegdistillError, OSError):
            if role != TEST:
                raise
    splits = {role: splits[role] for role in (TRAIN, VAL, TEST) if role in opened}
    samples: Samples = {role: list(opened[role].samples) for role in splits}
    named = {key: options[key] for key in ("images", "masks")}
    said = f"images in {named['images']}, masks in {named['masks']}"
    if "mask_ending" in options:
        said += f", masks named *{options['mask_ending']}"
    if "shares" in options:
        kept = "the scenes" if "group" in options else "them"
        said += f", {100 * options['shares'][VAL]:g} % of {kept} for val, drawn by name"
    elif "lists" in options:
        said += f", splits by the lists {options['lists']}"
    for keys in (("lists",), ("image_ending",), ("mask_ending", "image_ending"), ("mask_ending",), ("images", "masks"),
                 ("images",), ("masks",)):  # fmt: skip
        fewer = {key: value for key, value in options.items() if key not in keys}
        if fewer != options and _opens_alike(tree.root, splits, fewer, samples):
            options = fewer
    return Layout("folder", splits, options, samples, said, list(opened[TRAIN].unpaired))


def _of(value: Any, word: str) -> Any:
    return value.replace(SPLIT, word) if isinstance(value, str) else value


def _splits(tree: Tree, options: dict[str, Any], roles: Roles) -> tuple[Roles, dict[str, Any]]:
    """The splits, and the options that open them."""
    if VAL in roles:
        return roles, options
    one_list: dict[str, Any] = {}
    if not roles:
        for pattern, found in sorted(tree.lists.items(), key=lambda item: VAL not in item[1]):
            usable = {role: word for role, word in found.items() if _opens(tree.root, word, options, pattern)}
            if TRAIN in usable and VAL in usable:
                return usable, options | {"lists": pattern}
            if TRAIN in usable and not one_list:
                one_list = {"lists": pattern.replace(SPLIT, usable[TRAIN])}
        cvat = "ImageSets/Segmentation/default.txt"
        if not one_list and (tree.root / cvat).is_file():
            one_list = {"lists": cvat}
    flat = {key: _of(value, roles.get(TRAIN, "")) for key, value in options.items()} | one_list
    if ANY in flat["images"]:
        flat["group"] = "{group}/*"
    for share, seed in _SHARES:
        drawn = {"shares": {VAL: share}} | ({"split_seed": seed} if seed else {})
        try:
            train, val = (Folder(tree.root, split, **(flat | drawn | PLACEHOLDER)) for split in (TRAIN, VAL))
        except SegdistillError:
            continue
        if len(val) <= min(1.5 * share, 0.5) * (len(train) + len(val)):  # scenes may be of any size
            return {TRAIN: TRAIN, VAL: VAL}, flat | drawn
    raise DataError(tree.root, "holds too few images to keep some for validation", "Two images are the least.")


def _opens(root: Path, split: str, options: dict[str, Any], lists: str) -> bool:
    try:
        samples = Folder(root, split, **(options | PLACEHOLDER | {"lists": lists})).samples
    except SegdistillError:
        return False
    return any(mask is not None and mask.is_file() for _, mask in samples)


def _opens_alike(root: Path, splits: Roles, options: dict[str, Any], samples: Samples) -> bool:
    try:
        return all(
            Folder(root, word, **(options | PLACEHOLDER)).samples == samples[role] for role, word in splits.items()
        )
    except (SegdistillError, OSError):
        return False


LAYOUTS: Final = (
    "train/images and train/masks (and val/...); images/train and masks/train; images and masks with lists train.txt "
    "and val.txt, or without; images and masks in every scene; an export of CVAT with labelmap.txt; CamVid, "
    "Cityscapes, VOC, ADE20K or COCO-Stuff"
)
