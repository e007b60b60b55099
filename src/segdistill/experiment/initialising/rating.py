"""How well a pair of folders fits as images and masks: it is opened, and a few masks are looked at."""

from pathlib import Path
from typing import Any, Final, NamedTuple

from segdistill.data import Folder
from segdistill.experiment.initialising.ids import distinct
from segdistill.experiment.initialising.pairs import strangeness
from segdistill.experiment.initialising.tree import ANY, SPLIT, TRAIN, Roles, Tree, covers
from segdistill.experiment.initialising.writing import scalar
from segdistill.util import DataError, SegdistillError

PLACEHOLDER: Final = {"classes": ["a", "b"]}  # classes are no matter of the layout
_FEW: Final = 64  # values of a mask; more are a photograph's


class Rank(NamedTuple):
    """What makes a pair worse than another, the weightiest first."""

    photo: bool
    missing: bool
    colors: bool
    foreign: int
    unsplit: bool
    values: int
    first: Path

    @property
    def sound(self) -> bool:
        """Whether every image has a mask, which looks like one."""
        return not (self.missing or self.photo)


class Fit(NamedTuple):
    """A pair of folders that can be opened.

    Attributes:
        rank: How well.
        options: That open it.
        roles: Its splits.
        pairs: How many images have a mask, in all splits.
    """

    rank: Rank
    options: dict[str, Any]
    roles: Roles
    pairs: float

    def covers(self, *folders: str) -> bool:
        """Whether it is a pair of every scene, and these folders are of its scenes."""
        pair = (self.options["images"], self.options["masks"])
        return (
            ANY in pair[0]
            and not self.rank.photo
            and all(any(covers(pattern, folder) for pattern in pair) for folder in folders)
        )

    def way_to(self, other: "Fit") -> str:
        """What would have to be said to take the masks of another."""
        if other.options["masks"] == self.options["masks"]:
            return f"mask_ending: {scalar(other.options.get('mask_ending', ''))}"
        return f"masks: {scalar(other.options['masks'])}"


def rivals(best: Fit, fits: list[Fit], unused: list[str]) -> list[str]:
    """Options for other masks of the same images that fit as well."""
    found = [
        best.way_to(other)
        for other in fits
        if other.options["images"] == best.options["images"]
        and other.rank[:3] == best.rank[:3]
        and other.rank.first != best.rank.first
        and not any(_around(other.options["masks"]) == _around(name) for name in unused)
    ]
    return list(dict.fromkeys(found))


def unused(best: Fit, fits: list[Fit]) -> list[str]:
    """Images of other pairs that fit, lie side by side, and have nothing to do with the best one."""
    taken = {best.options["images"], best.options["masks"]}
    found = []
    for other in fits:
        images, masks = other.options["images"], other.options["masks"]
        apart = not any(_nested(name, one) for name in (images, masks) for one in taken)
        sound = other.rank.sound and other.rank.foreign <= best.rank.foreign
        if apart and sound and images != masks and _around(images) == _around(masks):
            found.append(images)
    return sorted(set(found))


def fit(tree: Tree, options: dict[str, Any], roles: Roles, refused: list[SegdistillError]) -> Fit | None:
    """Open a pair; None if it is none, and in ``refused`` why, where its names say that it should be one."""
    split, foreign = roles.get(TRAIN), strangeness(options["images"], options["masks"])
    opened = options
    if split is None:  # one pair for all: what there is at all
        split, opened = TRAIN, options | {"lists": None, "shares": {"none": 1e-9}}
    try:
        samples = Folder(tree.root, split, **(opened | PLACEHOLDER)).samples
    except (SegdistillError, OSError) as error:
        if isinstance(error, DataError) and not foreign:
            refused.append(error)
        return None
    pairs = [(image, mask) for image, mask in samples if mask is not None and mask.is_file()]
    if not pairs or any(image == mask for image, mask in pairs):
        return None
    picked = pairs[:: max(1, len(pairs) // 3)][:3]
    known = [look for look in (distinct(mask) for _, mask in picked) if look is not None]
    if not known:
        if not foreign:
            refused.append(DataError(picked[0][1], "is no mask: it holds neither ids nor a few colours", "Look at it."))
        return None
    values = max(count for count, _ in known)
    missing, colored = len(pairs) < 0.99 * len(samples), any(colors for _, colors in known)
    photo = values > _FEW or len(known) < len(picked)
    rank = Rank(photo, missing, colored, foreign, not roles, values, picked[0][1])
    held = {word: _held(tree, options["images"].replace(SPLIT, word)) for word in roles.values()}
    share = sum(held.values()) / held[split] if held.get(split) else 1
    return Fit(rank, options, roles, len(pairs) * share)


def _held(tree: Tree, pattern: str) -> int:
    """Pictures in the folders of a pattern and below."""
    depth = len(Path(pattern).parts)
    return sum(count for name, count in tree.pictures.items() if covers(pattern, Path(*Path(name).parts[:depth])))


def _around(pattern: str) -> Path:
    return Path(pattern).parent


def _nested(one: str, other: str) -> bool:
    return Path(one).is_relative_to(other) or Path(other).is_relative_to(one)
