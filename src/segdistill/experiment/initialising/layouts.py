"""Which folder holds images, which their masks, and what says the splits: tried with the data set that will read it."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from segdistill.data import Folder
from segdistill.experiment.initialising.ids import distinct
from segdistill.experiment.initialising.pairs import pairs_of, strangeness, ways
from segdistill.experiment.initialising.tree import SPLIT, TEST, TRAIN, VAL, Roles, Tree
from segdistill.experiment.initialising.writing import scalar
from segdistill.util import DataError, SegdistillError

Samples = dict[str, list[tuple[Path, Path | None]]]
PLACEHOLDER: Final = {"classes": ["a", "b"]}  # classes are no matter of the layout

_SHARES: Final = [(share, seed) for share in (0.2, 0.3, 0.5) for seed in range(10)]
_MOST: Final = 400  # pairs that are tried
_FEW: Final = 64  # values of a mask; more are a photograph's


class Layout(NamedTuple):
    """How a folder is to be opened.

    Attributes:
        dataset: Name in ``DATASETS``.
        splits: The layout's own word by role.
        options: Of the data set; without what it finds by itself.
        samples: Image and mask files by role.
        said: What it is, in words.
        leftover: Masks without an image.
        also: Other masks that fit these images as well.
    """

    dataset: str
    splits: Roles
    options: dict[str, Any]
    samples: Samples
    said: str
    leftover: list[Path]
    also: Sequence[str] = ()


class _Rank(NamedTuple):
    """What makes a pair worse than another, the weightiest first."""

    missing: bool
    colors: bool
    photo: bool
    foreign: int
    unsplit: bool
    values: int
    first: Path


def find_layout(tree: Tree) -> tuple[Layout | None, list[SegdistillError]]:
    """The pair of folders that fits best, and why others do not."""
    refused: list[SegdistillError] = []
    for first, places in enumerate((tree.folders, tree.folders | tree.parents)):
        fit: list[tuple[_Rank, dict[str, Any], Roles]] = []
        for images, masks, roles in itertools.islice(pairs_of(places), _MOST):
            for options in ways(tree, images, masks, roles):
                rank = _rank(tree.root, options, roles, refused, strict=bool(first))
                if rank is not None:
                    fit.append((rank, options, roles))
        if fit:
            best, options, roles = min(fit, key=lambda one: one[0])
            layout = _finish(tree, options, roles)
            also = [_way(options, other) for rank, other, _ in fit if _rivals(best, options, rank, other)]
            return layout._replace(also=list(dict.fromkeys(also))), refused
    return None, refused


def _rivals(best: _Rank, options: dict[str, Any], rank: _Rank, other: dict[str, Any]) -> bool:
    """Whether other masks of the same images fit as well."""
    return options["images"] == other["images"] and rank[:3] == best[:3] and rank.first != best.first


def _way(options: dict[str, Any], other: dict[str, Any]) -> str:
    """What would have to be said to take them."""
    if other["masks"] == options["masks"]:
        return f"mask_ending: {scalar(other.get('mask_ending', ''))}"
    return f"masks: {scalar(other['masks'])}"


def _rank(
    root: Path, options: dict[str, Any], roles: Roles, refused: list[SegdistillError], *, strict: bool
) -> _Rank | None:
    split = roles.get(TRAIN)
    try:
        if split is None:  # one pair for all: what there is at all
            split, options = TRAIN, options | {"lists": None, "shares": {"none": 1e-9}}
        samples = Folder(root, split, **(options | PLACEHOLDER)).samples
    except (SegdistillError, OSError) as error:
        if isinstance(error, DataError) and not strangeness(options["images"], options["masks"]):
            refused.append(error)
        return None
    pairs = [(image, mask) for image, mask in samples if mask is not None and mask.is_file()]
    if not pairs or any(image == mask for image, mask in pairs):
        return None
    picked = pairs[:: max(1, len(pairs) // 3)][:3]
    looks = [distinct(mask) for _, mask in picked]
    known = [look for look in looks if look is not None]
    if not known or (strict and len(pairs) < len(samples) / 2):
        if not known and not strangeness(options["images"], options["masks"]):
            refused.append(DataError(picked[0][1], "is no mask: it holds neither ids nor a few colours", "Look at it."))
        return None
    values = max(count for count, _ in known)
    colors = any(colored for _, colored in known)
    missing = len(pairs) < 0.99 * len(samples)
    foreign = strangeness(options["images"], options["masks"])
    return _Rank(missing, colors, values > _FEW, foreign, not roles, values, picked[0][1])


def _finish(tree: Tree, options: dict[str, Any], roles: Roles) -> Layout:
    """Say the splits: by folders, by lists, else by shares; then leave out what the data set finds by itself."""
    splits, extra = _splits(tree, options, roles)
    if extra.pop("__train", None) is not None:
        options = {key: _of(value, roles[TRAIN]) for key, value in options.items()}
    options = {**options, **extra}
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
        said += f", {100 * options['shares'][VAL]:g} % of them for val, drawn by name"
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
    if VAL in roles:
        return roles, {}
    one_list: dict[str, Any] = {}
    if not roles:
        for pattern, found in sorted(tree.lists.items(), key=lambda item: VAL not in item[1]):
            usable = {role: word for role, word in found.items() if _opens(tree.root, word, options, pattern)}
            if TRAIN in usable and VAL in usable:
                return usable, {"lists": pattern}
            if TRAIN in usable and not one_list:
                one_list = {"lists": pattern.replace(SPLIT, usable[TRAIN])}
        cvat = "ImageSets/Segmentation/default.txt"
        if not one_list and (tree.root / cvat).is_file():
            one_list = {"lists": cvat}
    alone: dict[str, Any] = {"__train": True} if roles else {}
    flat = {key: _of(value, roles.get(TRAIN, "")) for key, value in options.items()} | one_list
    for share, seed in _SHARES:
        drawn = {"shares": {VAL: share}} | ({"split_seed": seed} if seed else {})
        try:
            for split in (TRAIN, VAL):
                Folder(tree.root, split, **(flat | drawn | PLACEHOLDER))
        except SegdistillError:
            continue
        return {TRAIN: TRAIN, VAL: VAL}, one_list | drawn | alone
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
    "and val.txt, or without; an export of CVAT with labelmap.txt; CamVid, Cityscapes, VOC, ADE20K or COCO-Stuff"
)
