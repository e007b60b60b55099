"""The verb: an export of a label tool becomes a data set `folder`."""

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from segdistill.data.importing.guard import fenced, quiet, refuse_links, unfenced
from segdistill.data.importing.opening import AUTO, datumaro, open_export
from segdistill.data.importing.rasters import id_of
from segdistill.data.importing.writing import Writer
from segdistill.types import IGNORE_INDEX
from segdistill.util import ArgumentError, DataError, as_path, quote, shorten, verb

SUMMARY: Final = "import.json"
_ODD: Final = re.compile(r"\d+\s*[:,]|[^:]+:\d|#")  # a name that a class list would be read as something else with


class Imported(NamedTuple):
    """A data set that was made from an export.

    Attributes:
        folder: The root, for ``data.root``; its `import.json` holds the rest of this.
        format: What the export was read as: Datumaro's name.
        classes: Their names by id.
        background: The class of the unlabelled area; None where it does not count.
        splits: How many images each has.
        lost: How many annotations of each kind no mask can hold: boxes, points, captions.
        left_out: How many images were not taken, by reason.
        examples: The first few names of each reason.
        unused: Classes that no pixel has.
        notes: What Datumaro said.
    """

    folder: Path
    format: str
    classes: dict[int, str]
    background: str | None
    splits: dict[str, int]
    lost: dict[str, int]
    left_out: dict[str, int]
    examples: dict[str, list[str]]
    unused: list[str]
    notes: list[str]

    def frame(self) -> list[dict[str, Any]]:
        """A row a split: ``split``, ``images``."""
        return [{"split": split, "images": count} for split, count in self.splits.items()]

    def as_json(self) -> dict[str, Any]:
        """What `import.json` holds."""
        return {key: value for key, value in self._asdict().items() if key != "folder"}


@verb
def import_data(
    source: str | Path,
    out: str | Path,
    *,
    format: str = AUTO,
    background: str | None = None,
    keep_empty: bool = False,
    advance: Callable[[int], None] | None = None,
) -> Imported:
    """Make a data set `folder` from an export of a label tool: COCO, CVAT, VOC, LabelMe and whatever Datumaro reads.

    Polygons, masks, RLE and ellipses are drawn into one class mask an image: by ``z_order`` where the format has one,
    and within it larger areas first, so that smaller objects stay visible. Splits are kept; images become hard links,
    or copies.

    Args:
        source: The folder that was exported, unpacked.
        out: Folder of the data set; it must not exist.
        format: Datumaro's name of the format, such as ``coco_instances``; ``"auto"`` finds it.
        background: The class of the unlabelled area: one of the export's, or a new one with id 0. Without it such
            pixels are 255, which does not count.
        keep_empty: Also take images without any area.
        advance: Called with the number of images seen.

    Raises:
        SegdistillError: What is wrong with the export, in a sentence; then nothing is written.

    Example:
        ``sd.import_data("export", "my_data").splits`` gives ``{"train": 120, "val": 30}``.
    """
    export, folder = as_path("source", source), as_path("out", out)
    library = datumaro()
    _refuse_place(export, folder)
    refuse_links(export)
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        imported = _import(library, export, scratch, folder, format, background, keep_empty, advance)
        scratch.chmod(0o755)  # temporary folders are for their owner alone
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return imported


def _import(
    library: Any,
    source: Path,
    scratch: Path,
    folder: Path,
    format_: str,
    background: str | None,
    keep_empty: bool,
    advance: Callable[[int], None] | None,
) -> Imported:
    with quiet() as notes, fenced(source) as outside:
        export = open_export(library, source, format_)
        names, ids, empty = _classes(export.names, export.format, background)
        writer = Writer(source, scratch, ids=ids, empty=empty, keep_empty=keep_empty)
        for number, item in enumerate(export.items, 1):
            writer.take(item)
            if advance is not None:
                with unfenced():
                    advance(number)
    if outside:
        writer.lost["file outside the export, not read"] += len(outside)
    if not writer.counts:
        why = [f"{reason} ({count})" for reason, count in writer.left_out.items()] or ["it holds none"]
        why += [f"Datumaro says: {note}" for note in notes.values()]
        raise DataError(
            source,
            f"gives no image with a mask (read as {export.format}): {shorten(why)}",
            "Export polygons or masks, with images.",
        )
    unused = [name for number, name in names.items() if number not in writer.seen]
    imported = Imported(
        folder, export.format, names, background, writer.splits(), dict(writer.lost), dict(writer.left_out),
        writer.examples, unused, list(notes.values()),
    )  # fmt: skip
    (scratch / "classes.txt").write_text(_listed(names), encoding="utf-8")
    text = json.dumps(imported.as_json(), indent=2, ensure_ascii=False)
    (scratch / SUMMARY).write_text(f"{text}\n", encoding="utf-8")
    return imported


def _refuse_place(source: Path, folder: Path) -> None:
    if folder.exists() or folder.is_symlink():
        raise ArgumentError(f"`out` must be a new folder; `{folder}` exists. Choose another, or remove it.")
    if source.is_dir() and folder.resolve().is_relative_to(source.resolve()):
        raise ArgumentError(f"`out` must not lie inside the export; got `{folder}`. Choose a folder beside it.")


def _classes(found: Sequence[str], format_: str, background: str | None) -> tuple[dict[int, str], list[int], int]:
    """Names by id, the id of every class of the export, and the id of the unlabelled area."""
    void = "ignored" if format_.startswith("voc") else None  # the border of VOC's objects
    names = [name for name in found if name != void]
    if background is not None and background not in names:
        names = [" ".join(background.split()), *names]
        if not names[0]:
            raise ArgumentError("`background` must be the name of a class; got an empty text.")
    if len(names) < 2:
        raise ArgumentError(
            f"`background` must be given, since the export has one class, {quote(names)}. What surrounds it is "
            "the second: add `--background background`."
        )
    number = {name: id_of(index) for index, name in enumerate(names)}
    ids = [number.get(name, IGNORE_INDEX) for name in found]
    empty = IGNORE_INDEX if background is None else number.get(background, 0)
    return {number: name for name, number in number.items()}, ids, empty


def _listed(names: dict[int, str]) -> str:
    """The class list: plain names, or with ids where those leave out 255 or a name would be misread."""
    plain = list(names) == list(range(len(names))) and not any(_ODD.match(name) for name in names.values())
    return "".join(f"{name}\n" if plain else f"{number}: {name}\n" for number, name in names.items())
