"""What masks hold, and which classes that makes: nothing to say, or a proposal with its reason."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from segdistill.data import Listing, read_colors, read_mask, size_of
from segdistill.types import IGNORE_INDEX
from segdistill.util import DataError, ranges, shorten

MOST_CLASSES: Final = 200
_MOST_PIXELS: Final = 500_000_000  # of the masks that are read, about half a minute
_MOST_MASKS: Final = 4000
_MOST_COLORS: Final = 64
_MOSTLY: Final = 0.5  # share of masks that hold a value which is void

Color = tuple[int, int, int]


class Values(NamedTuple):
    """What a sample of masks holds.

    Attributes:
        masks: How many were read.
        total: How many there are.
        ids: Masks by value.
        colors: Masks by colour, where masks are colour pictures.
        unread: Why masks could not be read.
    """

    masks: int
    total: int
    ids: dict[int, int]
    colors: dict[Color, int]
    unread: list[DataError]

    @property
    def whole(self) -> bool:
        """Whether every mask was read."""
        return self.masks == self.total and not self.unread


class Proposal(NamedTuple):
    """Options that say the classes.

    Attributes:
        options: Of the data set.
        reasons: Why each stands there, by option; it becomes a comment.
        said: The classes, in words.
        open: What a person must settle; empty if nothing.
    """

    options: dict[str, Any]
    reasons: dict[str, str]
    said: str
    open: list[str]


def distinct(mask: Path) -> tuple[int, bool] | None:
    """How many values or colours a mask has, and whether they are colours; None if it is none."""
    found = _values(mask)
    if isinstance(found, DataError):
        return None
    colored = bool(found) and isinstance(next(iter(found)), tuple)
    return None if len(found) > (_MOST_COLORS if colored else 256) else (len(found), colored)


def read_values(masks: Sequence[Path], num_workers: int) -> Values:
    """Read all masks, or of very many or very large ones a part, evenly."""
    height, width = size_of(masks[len(masks) // 2])
    most = min(_MOST_MASKS, max(1, _MOST_PIXELS // max(1, height * width)))
    picked = masks[:: -(-len(masks) // most)]
    with ThreadPoolExecutor(max(1, num_workers)) as pool:
        read = list(pool.map(_values, picked))
    counted: Counter[Any] = Counter(value for found in read if not isinstance(found, DataError) for value in found)
    ids = {value: count for value, count in counted.items() if isinstance(value, int)}
    colors = {value: count for value, count in counted.items() if isinstance(value, tuple)}
    unread = [found for found in read if isinstance(found, DataError)]
    return Values(len(picked), len(masks), dict(sorted(ids.items())), dict(sorted(colors.items())), unread)


def propose(values: Values, listed: Listing | None, source: str) -> Proposal:
    """The options that fit the values of the masks to the class list.

    Args:
        values: Of the masks.
        listed: The class list, if there is one.
        source: Its file.

    Raises:
        DataError: If masks hold nothing that can be classes.
    """
    if values.colors and listed is not None and listed.colors is not None:
        return _colored(values, listed, source)
    if values.colors:
        return _by_colors(values, listed, source)
    ids = values.ids
    seen = [value for value in ids if value != IGNORE_INDEX]
    names = [] if listed is None else list(listed.ids)
    two = list(ids) if len(ids) == 2 else seen
    apart = len(ids) == 2 and two[1] - two[0] > 1 and (IGNORE_INDEX in ids or listed is None)
    if len(two) == 2 and ((apart and len(names) <= 2) or len(names) == 1):
        first, second = names if len(names) == 2 else ("background", names[0] if names else "object")
        why = f"proposal: masks hold {two[0]} and {two[1]} alone; rename as you like"
        said = f"2, from the values {two[0]}, {two[1]}"
        return Proposal({"labels": {first: two[0], second: two[1]}}, {"labels": why}, said, [])
    if listed is not None:
        return _fitted(values, listed, source)
    if len(seen) == 2 and seen[0] == 0:
        labels = {"background": 0, "object": seen[1]}
    else:
        labels = {f"class_{value}": value for value in seen}
    why = f"proposal: there is no class list, these are the values that {_read(values)} hold; rename them"
    return Proposal({"labels": labels}, {"labels": why}, f"{len(labels)}, from the values {ranges(seen)}", [])


def _fitted(values: Values, listed: Listing, source: str) -> Proposal:
    known = {number for group in listed.ids.values() for number in group}
    unknown = [value for value in values.ids if value not in known and value != IGNORE_INDEX]
    names = list(listed.ids)
    said = f"{len(names)}, named by {source}"
    if unknown == [len(names)] and 0 not in values.ids and known == set(range(len(names))):
        labels = {name: number for number, name in enumerate(names, start=1)}
        why = f"proposal: no mask holds 0 and the largest value is {len(names)}, so that {source} counts from 1"
        return Proposal({"labels": labels}, {"labels": why}, f"{said}, from the value 1 on", [])
    ignored: dict[int, str] = {}
    settle = []
    if set(values.ids) == {min(values.ids), IGNORE_INDEX}:
        held = shorten(values.ids)
        settle.append(f"masks hold nothing but {held}, and {source} names {len(names)} classes: is it of these masks?")
    for value in unknown:
        count = values.ids[value]
        if value == max(known) + 1 and count > _MOSTLY * values.masks:
            ignored[value] = (
                f"{value} is just above the class list and in {count} of {values.masks} masks, as void is (if 0 is a "
                f"background without a name, make it the first of {source} instead)"
            )
    rest = [value for value in unknown if value not in ignored]
    if rest:
        settle.append(
            f"masks hold {shorten(rest)}, which {source} does not name: add names, or set `ignore: [{shorten(rest)}]`"
        )
    absent = [number for number in sorted(known) if number not in values.ids] if values.whole else []
    if absent and len(known) - len(absent) >= 2 and not rest:
        gone = [name for name, group in listed.ids.items() if set(group) & set(absent)]
        for number in absent:
            ignored[number] = f"no mask holds {shorten(gone, 4)}"
    if not ignored:
        return Proposal({}, {}, said, settle)
    why = "proposal: " + "; ".join(dict.fromkeys(ignored.values()))
    return Proposal({"ignore": sorted(ignored)}, {"ignore": why}, f"{said}; {why.removeprefix('proposal: ')}", settle)


def _colored(values: Values, listed: Listing, source: str) -> Proposal:
    colors = [tuple(color) for color in listed.colors or ()]
    numbers = [group[0] for group in listed.ids.values()]
    strange = [list(color) for color in values.colors if color not in colors]
    settle = [f"masks hold colours that {source} does not have: {shorten(strange, 4)}"] if strange else []
    absent = [number for number, color in zip(numbers, colors, strict=True) if color not in values.colors]
    said = f"{len(colors)} colours, named by {source}"
    if not absent or not values.whole or len(colors) - len(absent) < 2:
        return Proposal({}, {}, said, settle)
    gone = shorten([name for name, group in listed.ids.items() if group[0] in absent], 4)
    return Proposal(
        {"ignore": absent}, {"ignore": f"proposal: no mask holds {gone}"}, f"{said}; none is {gone}", settle
    )


def _by_colors(values: Values, listed: Listing | None, source: str) -> Proposal:
    colors = [list(color) for color in values.colors]
    why = f"proposal: masks are colour pictures, these are the colours of {_read(values)}, in the order of the classes"
    if listed is not None and len(listed.ids) == len(colors):
        settle = [f"which colour is which class of {source}: they are sorted by number, as they came"]
        return Proposal({"colors": colors}, {"colors": why}, f"{len(colors)} colours, named by {source}", settle)
    names = ["_".join(["color", *map(str, color)]) for color in colors]
    reasons = {"classes": "proposal: named by their colours; rename them", "colors": why}
    return Proposal({"classes": names, "colors": colors}, reasons, f"{len(colors)}, by their colours", [])


def _read(values: Values) -> str:
    return f"all {values.total} masks" if values.whole else f"{values.masks} of {values.total} masks"


def _values(mask: Path) -> set[int] | set[Color] | DataError:
    try:
        return set(np.flatnonzero(np.bincount(read_mask(mask).ravel())).tolist())
    except DataError as error:
        try:
            pixels = read_colors(mask).reshape(-1, 3)
        except DataError:
            return error
    coded = np.unique(pixels.astype(np.int64) @ np.array([65536, 256, 1]))
    return {(code >> 16, code >> 8 & 255, code & 255) for code in coded.tolist()}
