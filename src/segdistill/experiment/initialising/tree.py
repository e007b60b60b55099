"""What lies in a folder: folders that hold pictures, and lists of names, with the name of the split taken out."""

import os
import re
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

from segdistill.data import IMAGE_SUFFIXES

SPLIT: Final = "{split}"
ANY: Final = "*"
TRAIN, VAL, TEST = "train", "val", "test"
Roles = dict[str, str]
"""The word that a layout has for train, val and test: ``{"train": "training"}``."""

_WORD: Final = re.compile(
    r"(?:^|(?<=[_\-. ]))(training|train|validation|valid|val|testing|test)(\d{4})?"
    r"(?=annot|mask|label|image|[_\-. ]|$)",
    re.IGNORECASE,
)
_DEPTH: Final = 3
_NESTED: Final = 8
_NOTHING: Final = (".", "__macosx", "readme", "license", "licence")  # no part of a layout
_CLASS_LISTS: Final = ("classes", "labels", "labelmap", "names")


class Tree(NamedTuple):
    """A folder, looked at once.

    Attributes:
        root: The folder.
        pictures: How many pictures lie right in each folder that has some, by path from the root.
        folders: Patterns of folders that hold pictures, with the splits that each has.
        parents: Patterns of the folders above these.
        scenes: Patterns of folders whose name is that of several scenes, for which ``*`` stands.
        lists: Patterns of text files that lie where lists do, with the splits that each has.
        texts: Every other text file of these places, by path from the root.
        suffixes: How many files have each suffix.
    """

    root: Path
    pictures: dict[str, int]
    folders: dict[str, Roles]
    parents: dict[str, Roles]
    scenes: dict[str, Roles]
    lists: dict[str, Roles]
    texts: list[str]
    suffixes: Counter[str]


def look(root: Path) -> Tree:
    """Look at every folder once; hidden ones are passed over."""
    pictures: dict[str, int] = {}
    files: list[str] = []
    suffixes: Counter[str] = Counter()
    seen: set[str] = set()
    for place, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else sorted(name for name in folders if not name.startswith("."))
        names = [] if real in seen else names
        seen.add(real)
        inner = Path(place).relative_to(root)
        count = sum(not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES) for name in names)
        if count:
            pictures[inner.as_posix()] = count
        suffixes.update(Path(name).suffix.lower() for name in names if not name.startswith("."))
        if len(inner.parts) < _DEPTH:
            files += [(inner / name).as_posix() for name in sorted(names) if name.endswith((".txt", ".lst"))]
    near = [name for name in pictures if len(Path(name).parts) <= _DEPTH]
    above = {parent.as_posix() for name in pictures for parent in Path(name).parents}
    deep = sorted(name for name in above - set(near) if len(Path(name).parts) <= _DEPTH)
    named = [name for name in files if Path(name).stem.lower() not in _CLASS_LISTS]
    lists = {pattern: roles for pattern, roles in _patterns(named).items() if SPLIT in pattern}
    taken = {pattern.replace(SPLIT, word) for pattern, roles in lists.items() for word in roles.values()}
    texts = [name for name in named if name not in taken]
    scenes = _scenes(_patterns([name for name in pictures if len(Path(name).parts) <= _DEPTH + 1]))
    return Tree(root, dict(sorted(pictures.items())), _patterns(near), _patterns(deep), scenes, lists, texts, suffixes)


def covers(pattern: str, folder: str | Path) -> bool:
    """Whether a pattern stands for a folder, or for another pattern."""
    parts, names = Path(pattern).parts, Path(folder).parts
    return len(parts) == len(names) and all(part in (ANY, name) for part, name in zip(parts, names, strict=True))


def inside_alone(root: Path) -> Path:
    """The folder itself, or the folder of folders that is all it holds, as an archive that was unpacked leaves it."""
    for _ in range(_NESTED):
        held = [path for path in root.iterdir() if not path.name.lower().startswith(_NOTHING)]
        if len(held) != 1 or not held[0].is_dir() or not any(path.is_dir() for path in held[0].iterdir()):
            break
        root = held[0]
    return root


def _patterns(names: list[str]) -> dict[str, Roles]:
    found: dict[str, Roles] = {}
    for name in names:
        words = {match[0] for match in map(_WORD.search, Path(name).parts) if match is not None}
        if len(words) == 1:
            (word,) = words
            pattern = "/".join(_WORD.sub(SPLIT, part) for part in Path(name).parts)
            found.setdefault(pattern, {}).setdefault(_role(word), word)
        else:
            found.setdefault(name, {})
    return found


def _scenes(patterns: dict[str, Roles]) -> dict[str, Roles]:
    """Folders with the same last names, or none: ``drive1/rgb`` and ``drive2/rgb`` become ``*/rgb`` (and ``*/*``)."""
    found: dict[str, Roles] = {}
    grouped: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for name in patterns:
        parts = Path(name).parts
        for cut in range(1, len(parts) + 1):
            splits = tuple(part if SPLIT in part else "" for part in parts[:cut])
            grouped.setdefault((splits, parts[cut:]), []).append(name)
    for (splits, tail), names in grouped.items():
        columns = [set(column) for column in zip(*(Path(name).parts[: len(splits)] for name in names), strict=True)]
        if len(names) > 1:
            heads = [column.pop() if len(column) == 1 else ANY for column in columns]
            roles = {role: word for name in names for role, word in patterns[name].items()}
            found["/".join((*heads, *tail))] = roles
    return found


def _role(word: str) -> str:
    start = word.lower()
    return TRAIN if start.startswith("train") else VAL if start.startswith("val") else TEST
