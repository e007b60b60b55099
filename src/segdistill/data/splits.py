"""Which images of one folder are a split: a list of names, or a share drawn by name."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from segdistill.util import ArgumentError, DataError, DatasetNotFoundError, quote, seed_of, shorten

REST: Final = "train"
"""The split that gets what the shares of the others leave."""

_WILD: Final = re.compile(r"(\{group\}|\*)")
_OUTSIDE: Final = re.compile(r"\\|(^|\s)(/|[A-Za-z]:)|(^|[\s/])\.\.($|[\s/])")  # of a name, or of two in one line
_LISTS: Final = ("{split}.txt", "ImageSets/Segmentation/{split}.txt")
_SINGLE: Final = "ImageSets/Segmentation/default.txt"  # CVAT's list of a task without subsets


class Entry(NamedTuple):
    """A line of a list.

    Attributes:
        image: Name of the image, with or without folder and suffix.
        mask: Of its mask, if the line has two columns.
    """

    image: str
    mask: str | None = None


def list_file(root: Path, split: str, lists: str | None, *, shared: bool) -> Path | None:
    """The list of a split, or with ``shared`` of all images; None if there is none.

    Args:
        root: The folder of the data set.
        split: The split.
        lists: A path in which ``{split}`` stands for the split; None to look where lists usually are.
        shared: Whether shares are drawn from the list.

    Raises:
        DatasetNotFoundError: If the list that ``lists`` names is not there.
    """
    if lists is not None:
        path = root / lists.replace("{split}", split)
        if not path.is_file():
            raise DatasetNotFoundError(f"`{path}` must list the images of {split}, but does not exist. It is `lists`.")
        return path
    usual = [] if shared else [root / pattern.replace("{split}", split) for pattern in _LISTS]
    if shared or split == REST:
        usual.append(root / _SINGLE)
    return next((path for path in usual if path.is_file()), None)


def read_list(path: Path) -> list[Entry]:
    """Read a list: one name a line, or an image and its mask apart by a tab or spaces; empty lines are skipped.

    Raises:
        DataError: If a name is absolute or leads out of its folder, an image occurs twice, or there is none.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise DataError(path, f"must be a list of names in UTF-8 ({error})", "Save it as UTF-8 text.") from None
    entries = [_entry(line) for line in lines if line]
    names = [name for entry in entries for name in entry if name is not None]
    strange = [name for name in names if _OUTSIDE.search(name)]
    if strange:
        raise DataError(
            path,
            f"must list names below the folders of images and masks, got {shorten(strange)}",
            "Write names relative to these folders, with / between folders.",
        )
    images = [entry.image for entry in entries]
    if len(set(images)) < len(images):
        twice = sorted(name for name, count in Counter(images).items() if count > 1)
        raise DataError(path, f"lists {len(twice)} names twice: {shorten(twice)}", "Keep each name once.")
    if not entries:
        raise DataError(path, "lists no names", "Fill it, or choose another split.")
    return entries


def check_shares(shares: Mapping[str, float], split: str) -> None:
    """Refuse shares that are none, and a split that they do not have.

    Raises:
        ValueError: Naming what is wrong.
    """
    numbers = list(shares.values()) if isinstance(shares, Mapping) else []
    if not numbers or not all(isinstance(share, (int, float)) and 0 < share < 1 for share in numbers):
        raise ArgumentError(f"`shares` must be parts of 1 by split, such as {{val: 0.2, test: 0.1}}; got {shares!r}.")
    if REST in shares or sum(numbers) >= 1:
        raise ArgumentError(f"`shares` must leave the rest to `{REST}`; got {dict(shares)!r}.")
    if split not in (REST, *shares):
        raise ArgumentError(f"`split` must be one of {', '.join((REST, *shares))}, as `shares` says; got {split!r}.")


def drawn(names: Sequence[str], split: str, shares: Mapping[str, float], *, seed: int, group: str | None) -> list[str]:
    """The names of a split: each name's place depends on the seed and itself alone, so that added files move none.

    Args:
        names: Of all images.
        split: ``train`` or one of ``shares``.
        shares: Part of 1 by split; train gets the rest.
        seed: Draws anew.
        group: Pattern of names; names of one group are in one split.

    Raises:
        ValueError: If the pattern is none.
        DataError: If a name does not fit the pattern, or no name falls into the split.
    """
    key_of = dict(zip(names, names, strict=True)) if group is None else groups_of(names, group)
    chosen = [name for name in names if _part(key_of[name], shares, seed) == split]
    if not chosen:
        kind = "images" if group is None else f"groups (`{group}`)"
        raise ArgumentError(
            f"`shares` must put images into {split}; of {len(set(key_of.values()))} {kind} none fell there. "
            f"Choose another `split_seed`, which is {seed}, or larger shares."
        )
    return chosen


def _part(key: str, shares: Mapping[str, float], seed: int) -> str:
    place = seed_of("split", seed, key) / 2**63
    for split, share in shares.items():
        if place < share:
            return split
        place -= share
    return REST


def groups_of(names: Sequence[str], group: str) -> dict[str, str]:
    """The part of every name that stands where the pattern has ``{group}``.

    Raises:
        ValueError: If the pattern is none, or a name does not fit it.
    """
    pieces = _WILD.split(group)  # fixed text and wild cards in turn
    if pieces.count("{group}") != 1 or "" in pieces[2:-1:2]:
        raise ArgumentError(
            "`group` must be a pattern of names with {group} once, and with text between {group} and any *, such as "
            f"'{{group}}_*'; got {group!r}."
        )
    found = {name: _group_of(name, pieces) for name in names}
    if strange := [name for name, part in found.items() if part is None]:
        raise ArgumentError(
            f"`group` must fit all {len(names)} names; {group!r} does not fit {len(strange)}: {quote(strange, 4)}. "
            "Names are those of the images without suffix and ending, with their folders."
        )
    return {name: part for name, part in found.items() if part is not None}


def _group_of(name: str, pieces: Sequence[str]) -> str | None:
    """Every wild card takes as little as it can. Not a regular expression, which may take for ever."""
    if not name.startswith(pieces[0]):
        return None
    start, part = len(pieces[0]), None
    for index in range(1, len(pieces), 2):
        wild, text = pieces[index], pieces[index + 1]
        first = start + (wild == "{group}")
        end = len(name) - len(text) if index + 2 == len(pieces) else name.find(text, first)
        if end < first or not name.startswith(text, end):
            return None
        if wild == "{group}":
            part = name[start:end]
        start = end + len(text)
    return part


def _entry(line: str) -> Entry:
    columns = [column.strip() for column in line.split("\t")] if "\t" in line else [line]
    return Entry(*columns) if len(columns) <= 2 else Entry(line)
