"""A folder of your own images and masks."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from segdistill.data.base import SegmentationDataset
from segdistill.data.layout import pair
from segdistill.data.pictures import ByteMap, read_image
from segdistill.labels import LabelTable
from segdistill.types import IGNORE_INDEX
from segdistill.util import ArgumentError, DataError, DatasetNotFoundError, shorten

Ints: TypeAlias = NDArray[np.int64]


class Folder(SegmentationDataset):
    """Images and masks in two folders a split, paired by file name.

    - Layout: ``<split>/images`` and ``<split>/masks``, or ``images/<split>`` and ``masks/<split>``.
    - Masks: one channel, 8 bits (grey or palette PNG), a pixel's value is its position in the class list;
      255 is always ignored. Or RGB, translated by ``colors``.
    - Classes: ``classes``, or the lines of ``classes.txt`` in the root.

    Args:
        root: The folder of the data set.
        split: Any name that the layout has.
        classes: Class names by id; default the lines of ``classes.txt``.
        colors: One (red, green, blue) a class: masks are colour pictures. Other colours are errors.
        ignore: Ids that do not count: of listed classes, or further ones that masks hold.

    Raises:
        ValueError: If there is no class list, or names and colours do not match or repeat.
        DatasetNotFoundError: If the root or the split's folders are missing or hold no images.
        DataError: If two images of a folder differ in their suffix alone.
    """

    def __init__(
        self,
        root: Path | str,
        split: str = "train",
        *,
        classes: Sequence[str] | None = None,
        colors: Sequence[Sequence[int]] | None = None,
        ignore: Sequence[int] = (),
    ) -> None:
        images, masks = _folders(Path(root), split)
        names = _read_classes(Path(root)) if classes is None else list(classes)
        table = LabelTable.from_names(
            names, colors, name=Path(root).resolve().name, ignored=sorted({*ignore, IGNORE_INDEX})
        )
        samples, unpaired = pair(images, masks)
        super().__init__(root, split, labels=table, samples=samples, unpaired=unpaired)
        self._codes = None if colors is None else _codes(np.asarray(colors, dtype=np.int64))
        if self._codes is not None and len(np.unique(self._codes)) < len(self._codes):
            raise ArgumentError(f"`colors` must differ from each other; got {[list(color) for color in colors or ()]}.")

    def read_ids(self, path: Path) -> ByteMap:
        """Read a mask; with ``colors``, translate its colours to ids.

        Raises:
            DataError: As ``read_mask``, or if a colour belongs to no class.
        """
        if self._codes is None:
            return super().read_ids(path)
        if path.suffix.lower() in (".jpg", ".jpeg", ".webp"):
            raise DataError(path, "is compressed with loss, which alters colours", "Save the mask as PNG.")
        codes = _codes(np.moveaxis(read_image(path).numpy().astype(np.int64), 0, -1))
        order = np.argsort(self._codes)
        position = np.searchsorted(self._codes, codes, sorter=order).clip(max=len(order) - 1)
        ids = order[position]
        unknown = np.unique(codes[self._codes[ids] != codes])
        if unknown.size:
            shown = shorten([[code >> 16, code >> 8 & 255, code & 255] for code in unknown.tolist()])
            raise DataError(
                path, f"holds colours that `colors` does not have: {shown}", "Add them, or correct the mask."
            )
        found: ByteMap = ids.astype(np.uint8)
        return found

    def unknown_ids_remedy(self, ids: Sequence[int]) -> str:
        """Most often such an id is void."""
        return (
            "Add their class names, or if they mean void, list them in `ignore` "
            f"(in a recipe `data.options.ignore: [{shorten(ids)}]`)."
        )


def _codes(rgb: Ints) -> Ints:
    """Colours (..., 3) as single numbers."""
    return rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]


def _folders(root: Path, split: str) -> tuple[Path, Path]:
    if not split or Path(split).name != split:
        raise ArgumentError(f"`split` must be the name of a folder; got {split!r}.")
    for images, masks in (
        (root / split / "images", root / split / "masks"),
        (root / "images" / split, root / "masks" / split),
    ):
        if images.is_dir() and masks.is_dir():
            return images, masks
    held = shorten(sorted(path.name for path in root.iterdir())) if root.is_dir() else "nothing: it does not exist"
    raise DatasetNotFoundError(
        f"`{root}` must hold {split}/images and {split}/masks, or images/{split} and masks/{split}; "
        f"it holds {held}. Rename the folders, or choose another root or split."
    )


def _read_classes(root: Path) -> list[str]:
    path = root / "classes.txt"
    if not path.is_file():
        raise ArgumentError(f"`classes` must be given, or `{path}` exist with one class name a line, by id.")
    names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    while names and not names[-1]:
        names.pop()
    if not names or not all(names):
        raise DataError(path, "must have one class name a line", "Fill or remove empty lines.")
    return names
