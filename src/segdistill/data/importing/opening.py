"""An export is opened by Datumaro, which is loaded here and nowhere before."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from segdistill.data.importing import huggingface, labelstudio
from segdistill.data.importing.guard import quiet
from segdistill.util import ArgumentError, DataError, MissingFileError, UnavailableError, nearest, shorten

AUTO: Final = "auto"
_PICKLES: Final = {"brats_numpy", "cifar"}  # whose files are pickles; neither holds class masks of images
_WHOLE: Final = {"datumaro_binary"}  # claims to stream, and cannot
_PREFERRED: Final = ("voc", "voc_segmentation")
"""An export of VOC is also one of each of its tasks. The first holds most, and the second masks."""

_PACKED: Final = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")


class Export(NamedTuple):
    """An export that is open.

    Attributes:
        format: Datumaro's name of its format.
        names: Its classes.
        items: Its images, one after the other.
    """

    format: str
    names: list[str]
    items: Iterator[Any]


def datumaro() -> Any:
    """The library.

    Raises:
        UnavailableError: If it is not installed.
    """
    try:
        with quiet():
            import datumaro as library
    except ImportError as error:
        missing = "" if error.name == "datumaro" else f" ({error})"
        raise UnavailableError(
            f"`import` needs Datumaro, which is not installed{missing}: pip install segdistill[import]."
        ) from None
    return library


def open_export(library: Any, source: Path, wanted: str) -> Export:
    """Find the format of an export and read its classes.

    Raises:
        ValueError: If the format is unknown, or the export is none of it.
        FileNotFoundError: If there is nothing.
    """
    environment = library.Environment()
    known = sorted({*environment.importers, labelstudio.NAME, huggingface.NAME} - _PICKLES)
    if wanted != AUTO and wanted not in known:
        raise ArgumentError(
            f"`format` must be {AUTO!r} or a format of Datumaro; got {wanted!r}. {nearest(wanted, known)}"
        )
    if not source.exists():
        raise MissingFileError(f"`{source}` must be an export of a label tool; it does not exist.")
    if source.is_file() and source.suffix.lower() in _PACKED:
        raise DataError(source, "is packed", "Unpack it, and give the folder.")
    if not source.is_dir():
        raise DataError(source, "is a file", "Give the folder of the export, which holds it and the images.")
    if wanted in (AUTO, labelstudio.NAME, huggingface.NAME):
        ours = _ours(source, wanted)
        if ours is not None:
            return ours
    format_ = _detected(environment, source, known) if wanted == AUTO else wanted
    try:
        streams = environment.make_importer(format_).can_stream and format_ not in _WHOLE
        kind = library.StreamDataset if streams else library.Dataset
        dataset = kind.import_from(str(source), format_, env=environment)
        labels = dataset.categories().get(library.AnnotationType.label, ())
        names = [(str(label.name), str(label.parent or "")) for label in labels]
    except Exception as error:  # of any kind: the files are not ours
        raise unreadable(source, format_, error) from None
    if not names:
        raise DataError(source, f"has no classes (read as {format_})", _OTHER)
    return Export(format_, _distinct(names), _all(dataset, source, format_))


_OTHER: Final = "Give the folder that the label tool exported, or name its format with `--format`."


def unreadable(source: Path, format_: str, error: BaseException) -> DataError:
    """What to say of an export that Datumaro cannot read: the innermost reason."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    reason = " ".join(str(error).split())[:300]
    return DataError(source, f"cannot be read as {format_} ({type(error).__name__}: {reason})", _OTHER)


def _ours(source: Path, wanted: str) -> Export | None:
    """An export that Datumaro does not read; None if it is none of these and may be another.

    Raises:
        DataError: If it was named, and is none; or if it is damaged.
    """
    form = wanted
    try:
        if wanted != huggingface.NAME and (tasks := labelstudio.find_tasks(source)) is not None:
            form = labelstudio.NAME
            names = labelstudio.class_names(tasks)
            items = labelstudio.read_items(tasks, source, names)
        elif wanted != labelstudio.NAME and (table := huggingface.find_table(source)) is not None:
            form = huggingface.NAME
            names = huggingface.class_names(table, source)
            items = huggingface.read_items(table)
        else:
            if wanted == AUTO:
                return None
            raise DataError(source, f"holds nothing that is read as {wanted}", _NEEDED[wanted])
    except DataError:
        raise
    except Exception as error:  # of any kind: the files are not ours
        raise unreadable(source, form, error) from None
    if not names:
        raise DataError(source, f"has no areas with a class (read as {form})", _NEEDED[form])
    return Export(form, _distinct([(name, "") for name in names]), _all(items, source, form))


_NEEDED: Final = {
    labelstudio.NAME: "Export as JSON what was labelled with brushes, polygons or ellipses, and put the images beside.",
    huggingface.NAME: "It needs Parquet files, or a folder of `save_to_disk`, with the columns image and mask.",
}


def _all(dataset: Any, source: Path, format_: str) -> Iterator[Any]:
    items = iter(dataset)
    while True:
        try:
            item = next(items)
        except StopIteration:
            return
        except Exception as error:
            raise unreadable(source, format_, error) from None
        yield item


def _detected(environment: Any, source: Path, known: list[str]) -> str:
    try:
        found = [name for name in environment.detect_dataset(str(source), depth=2) if name in known]
    except Exception as error:
        raise unreadable(source, "any format", error) from None
    if found and all(name.startswith("voc") for name in found):
        found = [name for name in _PREFERRED if name in found][:1] or found
    if len(found) == 1:
        return str(found[0])
    if not found:
        raise DataError(source, "is no export that Datumaro knows", _OTHER)
    raise DataError(source, f"may be of several formats: {shorten(found)}", "Choose one with `--format`.")


def _distinct(names: list[tuple[str, str]]) -> list[str]:
    """Names on one line each, all different: that of the parent comes first where two are the same."""
    plain = [" ".join(name.split()) or "unnamed" for name, _ in names]
    taken: set[str] = set()
    for index, name in enumerate(plain):
        parent = " ".join(names[index][1].split())
        again = f"{parent}.{name}" if parent and plain.count(name) > 1 else name
        number = 2
        while again in taken:
            again, number = f"{name}_{number}", number + 1
        taken.add(again)
        plain[index] = again
    return plain
