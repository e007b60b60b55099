"""The classes of a folder of one's own: lists of names, files of lists, and which ids mean which class."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from segdistill.data.colors import ColorCode
from segdistill.labels import LARGEST_ID, Color, LabelTable
from segdistill.types import IGNORE_INDEX
from segdistill.util import ArgumentError, DataError, nearest, quote, shorten

Groups: TypeAlias = dict[str, list[int]]

CLASS_FILES: Final = ("classes.txt", "labels.txt", "labelmap.txt")
"""Where the names are looked for, in this order."""

ERROR, IGNORE = "error", "ignore"  # what `others` may be beside the name of a class
_COLORED: Final = re.compile(r"([^:]+):(\d+),(\d+),(\d+)(?::.*)?")  # a line of CVAT's labelmap.txt
_NUMBERED_LINE: Final = re.compile(r"(\d+)\s*[:,]\s*(.+)")  # as Roboflow's _classes.csv has them
_QUOTES: Final = "Put quotes around a name that YAML reads as something else, such as 'null', 'no' or '1'."


class Listing(NamedTuple):
    """Classes as a list or a file names them.

    Attributes:
        ids: Of every class.
        colors: Of every class, if the file has them.
    """

    ids: Groups
    colors: list[Color] | None = None


def listing(root: Path, classes: Sequence[str] | Mapping[Any, Any] | str | None) -> Listing | None:
    """The classes by name, as given or in a file of the root; None if there is neither.

    Raises:
        ValueError: If they are neither names nor a mapping of names and ids.
        DataError: If the file has empty lines or is no text.
    """
    if isinstance(classes, Mapping):
        return Listing(_from_mapping(classes))
    if isinstance(classes, str):
        if not (root / classes).is_file():
            raise ArgumentError(f"`classes` must be names, as in [sky, road], or a file; `{root / classes}` is none.")
        return _read(root / classes)
    if classes is None:
        found = [root / name for name in CLASS_FILES if (root / name).is_file()]
        return _read(found[0]) if found else None
    if wrong := [name for name in classes if not isinstance(name, str)]:
        raise ArgumentError(f"`classes` must be names; got {shorten(wrong)}. {_QUOTES}")
    return Listing(_numbered(list(classes)))


def grouped(labels: Mapping[str, Any], names: Groups, others: str) -> Groups:
    """The ids of every class of ``labels``.

    Args:
        labels: An id, a name of ``names``, or a list of them, by class.
        names: Ids of the listed names.
        others: The class that gets the ids of all names that ``labels`` leaves out; another word for none.

    Raises:
        ValueError: If something is neither an id nor a known name, or is in two classes.
    """
    if not isinstance(labels, Mapping):
        raise ArgumentError(f"`labels` must be ids by class, such as {{background: 0, road: [1, 4]}}; got {labels!r}.")
    groups: Groups = {}
    for label, wanted in labels.items():
        if not isinstance(label, str):
            raise ArgumentError(f"`labels` must have names as keys; got {label!r}. {_QUOTES}")
        groups[label] = []
        for member in wanted if isinstance(wanted, (list, tuple)) else [wanted]:
            groups[label] += [member] if _is_id(member) else _named(member, label, names)
    taken: dict[int, str] = {}
    for label, ids in groups.items():
        for number in ids:
            if number in taken:
                raise ArgumentError(
                    f"`labels` must have each id once; got {number} in `{taken[number]}` and `{label}`."
                )
            taken[number] = label
    if others in groups:
        if not names:
            raise ArgumentError(f"`others: {others}` must have a class list to take the rest from; got none.")
        groups[others] += [number for ids in names.values() for number in ids if number not in taken]
    if empty := [label for label, ids in groups.items() if not ids]:
        raise ArgumentError(f"`labels.{empty[0]}` must have an id; got none.")
    return groups


def class_table(
    root: Path,
    *,
    classes: Sequence[str] | Mapping[Any, Any] | str | None,
    labels: Mapping[str, Any] | None,
    colors: Sequence[Sequence[int]] | None,
    ignore: Sequence[int],
    others: str,
) -> tuple[LabelTable, ColorCode | None]:
    """The table of a folder's options, and the colours of masks if those are pictures.

    Raises:
        ValueError: If there are no classes, fewer than two are left, or options contradict each other.
        DataError: If a file of classes cannot be read.
    """
    listed = listing(root, classes)
    if listed is None and labels is None:
        raise ArgumentError(
            f"`classes` or `labels` must be given, or `{root / CLASS_FILES[0]}` exist with one class name a line, "
            "by id."
        )
    names = {} if listed is None else listed.ids
    groups = names if labels is None else grouped(labels, names, others)
    if others not in (ERROR, IGNORE, *(labels or ())):
        raise ArgumentError(
            f"`others` must be {ERROR!r}, {IGNORE!r} or a class of `labels`; got {others!r}. "
            f"{nearest(str(others), (ERROR, IGNORE, *(labels or ())))}"
        )
    if isinstance(ignore, (int, str)) or not all(map(_is_id, ignore)):
        raise ArgumentError(f"`ignore` must be a list of ids, such as [11]; got {ignore!r}.")
    drawn = _drawn(names or groups, colors if colors is not None or listed is None else listed.colors)
    named = isinstance(classes, Mapping) or labels is not None
    void = {IGNORE_INDEX}.difference(*groups.values()) if named else {IGNORE_INDEX}
    shown = [drawn[ids[0]] for ids in groups.values() if ids and ids[0] in drawn]
    table = LabelTable.from_classes(
        groups,
        shown if len(shown) == len(groups) else None,
        name=root.resolve().name,
        ignored=sorted({*ignore, *void}),
    )
    if table.num_classes < 2:
        raise ArgumentError(
            f"`classes` must have at least two classes that count; got {quote(table.names)} alone. The background is a "
            "class too: list it first, and where masks are 0 and 255, give their ids "
            f"(`data.options.labels: {{background: 0, {table.names[0]}: 255}}`)."
        )
    unknown = LARGEST_ID if others == IGNORE else None
    return table, ColorCode(list(drawn.values()), list(drawn), unknown=unknown) if drawn else None


def _drawn(classes: Groups, colors: Sequence[Sequence[int]] | None) -> dict[int, Color]:
    """The colour of the first id of every class."""
    if colors is None:
        return {}
    if len(colors) != len(classes):
        raise ArgumentError(f"`colors` must have one colour per name, {len(classes)}; got {len(colors)}.")
    drawn: dict[int, Color] = {}
    for ids, color in zip(classes.values(), colors, strict=True):
        if len(color) != 3 or not all(_is_id(value) and 0 <= value <= 255 for value in color):
            raise ArgumentError(f"`colors` must be three numbers from 0 to 255 each; got {color!r}.")
        drawn[ids[0]] = (color[0], color[1], color[2])
    return drawn


def _from_mapping(classes: Mapping[Any, Any]) -> Groups:
    """Names and ids, in either direction."""
    if all(isinstance(value, str) for value in classes.values()) and all(str(key).isdecimal() for key in classes):
        by_id = {int(key): name for key, name in classes.items()}
        return {name: [number for number in by_id if by_id[number] == name] for name in by_id.values()}
    return grouped(classes, {}, ERROR)


def _named(member: object, label: str, names: Groups) -> list[int]:
    if isinstance(member, str) and member in names:
        return names[member]
    if isinstance(member, str):
        help_ = nearest(member, names) if names else f"No class list has names: give `classes`, or {CLASS_FILES[0]}."
    else:
        help_ = _QUOTES
    got = "null" if member is None else repr(member)
    raise ArgumentError(f"`labels.{label}` must be ids, or names of the class list; got {got}. {help_}")


def _is_id(member: object) -> bool:
    return isinstance(member, int) and not isinstance(member, bool)


def _numbered(names: Sequence[str]) -> Groups:
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ArgumentError(f"`classes` must differ from each other; got {quote(repeated)} more than once.")
    return {name: [number] for number, name in enumerate(names)}


def _read(path: Path) -> Listing:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, f"must be the class list, in UTF-8 ({error})", "Save it as UTF-8 text.") from None
    while lines and not lines[-1]:
        lines.pop()
    colored = [_COLORED.fullmatch(line) for line in lines if line and not line.startswith("#")]
    if colored and all(colored):
        rows = [match.groups() for match in colored if match]
        numbers = [(int(red), int(green), int(blue)) for _, red, green, blue in rows]
        return Listing(_numbered([row[0] for row in rows]), numbers)
    if path.suffix.lower() == ".csv":
        lines = [line for line in lines if line[:1].isdecimal()]  # without its heading
    numbered = [_NUMBERED_LINE.fullmatch(line) for line in lines]
    if numbered and all(numbered):
        return Listing(_from_mapping({match[1]: match[2] for match in numbered if match}))
    if not lines or not all(lines):
        raise DataError(path, "must have one class name a line", "Fill or remove empty lines.")
    return Listing(_numbered(lines))
