"""Items of an export become files, one after the other; what is left out is counted."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
from PIL import Image

from segdistill.data.importing.guard import unfenced
from segdistill.data.importing.pictures import canvas_of, picture_of, put, upright
from segdistill.data.importing.rasters import Unfit, areas_of, declared_size, draw

_SPLITS: Final = {"": "train", "default": "train"}
USUAL: Final = ("train", "val", "valid", "validation", "test")
"""What splits are called most often, in the order in which they are shown."""

_MOST_EXAMPLES: Final = 5
_LONGEST: Final = 240  # bytes of a name, with its suffix below what disks take
_EMPTY: Final = "no area of a class"


class Writer:
    """Takes items, and writes ``<split>/images`` and ``<split>/masks``.

    Args:
        source: The export.
        folder: Where to write.
        ids: The id of every class of the export.
        empty: The id of pixels without an area.
        keep_empty: Also write images without any area.

    Attributes:
        counts: Images written, by split.
        lost: Annotations that no mask can hold, by kind.
        left_out: Images that were not written, by reason.
        examples: The first few names of each reason.
        seen: Ids that some pixel has.
    """

    def __init__(self, source: Path, folder: Path, *, ids: Sequence[int], empty: int, keep_empty: bool) -> None:
        self._source, self._folder = source, folder
        self._ids, self._empty, self._keep_empty = ids, empty, keep_empty
        self.counts: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}
        self.seen: set[int] = set()

    def take(self, item: Any) -> None:
        """Write an item, or count why not."""
        try:
            self._write(item)
        except Unfit as reason:
            self._leave(str(reason), item)
        except (ValueError, TypeError, KeyError, IndexError, ArithmeticError) as error:  # the annotations are not ours
            self._leave(f"its annotations are damaged ({type(error).__name__})", item)

    def splits(self) -> dict[str, int]:
        """Images by split: train first, then those to validate and test with."""
        order = (*USUAL, *sorted(self.counts))
        return {split: self.counts[split] for split in dict.fromkeys(order) if self.counts[split]}

    def _leave(self, reason: str, item: Any) -> None:
        self.left_out[reason] += 1
        named = self.examples.setdefault(reason, [])
        if len(named) < _MOST_EXAMPLES:
            named.append(str(item.id))

    def _write(self, item: Any) -> None:
        areas = areas_of(item.annotations, self._ids, self.lost)
        if not areas and not self._keep_empty:
            raise Unfit(_EMPTY)
        split, name = _split_of(item.subset), _safe(str(item.id))
        picture = picture_of(item.media, self._source)
        size = canvas_of(picture, declared_size(item, areas))
        mask = upright(draw(areas, size, self._empty, self.lost), picture)
        target = self._folder / split / "masks" / f"{name}.png"
        if target.exists():
            raise Unfit("its name is taken by another image")
        with unfenced():
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask.astype(np.uint8) if mask.max() <= 255 else mask).save(target)
            put(picture, self._folder / split / "images" / f"{name}{picture.suffix}")
        self.seen.update(np.unique(mask).tolist())
        self.counts[split] += 1


def _split_of(subset: object) -> str:
    name = str(subset or "")
    split = _SPLITS.get(name, name)
    if _safe(split) != PurePosixPath(split).name:
        raise Unfit("the name of its split is no name of a folder")
    return split


def _safe(name: str) -> str:
    """A name with folders that stays below the one it is put into."""
    path = PurePosixPath(name.replace("\\", "/"))
    parts = path.parts
    if not parts or path.is_absolute() or ".." in parts or "\0" in name or ":" in parts[0]:
        raise Unfit("its name leaves the folder")
    if any(len(part.encode(errors="replace")) > _LONGEST for part in parts):
        raise Unfit("its name is too long")
    return path.as_posix()
