"""A folder of Hugging Face `datasets` with a column of images and one of masks: Parquet files, or `save_to_disk`."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segdistill.data.importing.labelstudio import Other
from segdistill.data.pictures import MASK_FORMATS
from segdistill.types import IGNORE_INDEX

NAME: Final = "huggingface"
NAMES: Final = "id2label.json"

_IMAGES: Final = ("image", "pixel_values", "img")
_MASKS: Final = ("mask", "annotation", "label", "labels", "segmentation_mask", "segmentation", "semantic_segmentation")
_SHARD: Final = re.compile(r"(.+?)-\d+-of-\d+$")
_DAMAGED: Final = (OSError, SyntaxError, ValueError, TypeError, KeyError, Image.DecompressionBombError)
_ROWS: Final = 4  # of a Parquet file at once


class Table(NamedTuple):
    """Files of one layout.

    Attributes:
        files: Each with its split.
        image: Name of the column of images.
        mask: Name of the column of masks.
    """

    files: list[tuple[Path, str]]
    image: str
    mask: str


def find_table(source: Path) -> Table | None:
    """The files in a folder; None if they have no columns of images and masks."""
    files = [(path, _split(path)) for path in sorted(source.rglob("*.parquet"))]
    if not files:
        saved = [path for path in sorted(source.rglob("*.arrow")) if (path.parent / "state.json").is_file()]
        files = [(path, "train" if path.parent == source else path.parent.name) for path in saved]
    if not files:
        return None
    columns = set(_columns(files[0][0]))
    image, mask = (next((name for name in known if name in columns), None) for known in (_IMAGES, _MASKS))
    return None if image is None or mask is None else Table(files, image, mask)


def class_names(table: Table, source: Path) -> list[str]:
    """From `id2label.json`; without it `class 0` up to the largest id of all masks."""
    listed = source / NAMES
    if listed.is_file():
        held = {int(number): str(name) for number, name in json.loads(listed.read_text(encoding="utf-8")).items()}
    else:
        largest = max((int(ids[ids != IGNORE_INDEX].max(initial=-1)) for ids in _all_ids(table)), default=-1)
        held = dict.fromkeys(range(largest + 1), "")
    return [held.get(number) or f"class {number}" for number in range(max(held, default=-1) + 1)]


def read_items(table: Table) -> Iterator[Any]:
    """The rows one after the other, as items like Datumaro's."""
    for path, split in table.files:
        for number, row in enumerate(_rows(path, [table.image, table.mask])):
            held = row[table.image] or {}
            named = Path(str(held.get("path") or "").replace("\\", "/")).stem
            name = f"{path.stem}_{number:06d}" + (f"_{named}" if re.fullmatch(r"[\w.-]{1,60}", named) else "")
            try:
                ids = _ids(row[table.mask])
                annotations: list[Other] = [
                    Area(ids, value) for value in np.unique(ids).tolist() if value != IGNORE_INDEX
                ]
            except _DAMAGED:
                annotations = [Other("mask that cannot be read")]
            media = SimpleNamespace(path=None, bytes=held.get("bytes"), has_size=False)
            yield SimpleNamespace(id=name, subset=split, media=media, annotations=annotations)


class Area(Other):
    """The pixels of a mask that have one id."""

    def __init__(self, ids: NDArray[Any], number: int) -> None:
        super().__init__("mask", number)
        self._ids = ids

    @property
    def image(self) -> NDArray[np.bool_]:
        """These pixels."""
        same: NDArray[np.bool_] = self._ids == self.label
        return same

    def get_area(self) -> float:
        """No two overlap."""
        return 0.0


def _split(path: Path) -> str:
    shard = _SHARD.match(path.stem)
    return shard[1] if shard else path.stem


def _columns(path: Path) -> list[str]:
    import pyarrow
    from pyarrow import parquet

    if path.suffix == ".parquet":
        return list(parquet.read_schema(path).names)
    with pyarrow.memory_map(str(path)) as file, pyarrow.ipc.open_stream(file) as reader:
        return list(reader.schema.names)


def _rows(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    import pyarrow
    from pyarrow import parquet

    if path.suffix == ".parquet":
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS, columns=columns):
                yield from batch.to_pylist()
        return
    with pyarrow.memory_map(str(path)) as file, pyarrow.ipc.open_stream(file) as reader:
        for batch in reader:
            chosen = batch.select(columns)
            for index in range(chosen.num_rows):
                yield from chosen.slice(index, 1).to_pylist()


def _all_ids(table: Table) -> Iterator[NDArray[Any]]:
    for path, _ in table.files:
        for row in _rows(path, [table.mask]):
            try:
                yield _ids(row[table.mask])
            except _DAMAGED:
                continue


def _ids(held: Any) -> NDArray[Any]:
    """The ids of a mask; of a grey picture stored as RGB those of one channel."""
    with Image.open(io.BytesIO(held["bytes"]), formats=MASK_FORMATS) as picture:
        ids = np.array(picture)
    if ids.ndim == 3 and (ids[..., :1] == ids[..., :3]).all():
        ids = ids[..., 0]
    if ids.ndim != 2 or ids.dtype.kind not in "bui":
        raise ValueError("no mask of ids")
    return ids.astype(np.int64)
