"""JSON files and lines, written whole or not; records there and back."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from segdistill.store.names import RESULT
from segdistill.store.records import Line, Record
from segdistill.util import RunError, write_atomic

_R = TypeVar("_R", bound=Record)
_L = TypeVar("_L", bound=Line)


def write_text(path: Path, text: str) -> None:
    """Replace a text file in one step."""
    write_atomic(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically; NaN is refused, since it is not JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_record(path: Path, record: Record) -> None:
    """Write a record as a JSON file, atomically; equal records give equal bytes."""
    write_json(path, record.as_json())


def read_json(path: Path) -> Any:
    """Read a JSON file of a run.

    Raises:
        RunError: If it is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} does not exist: {path.parent} is not a complete run folder.") from None
    except ValueError as error:
        raise RunError(f"{path} is not valid JSON ({error}).") from None


def read_record(kind: type[_R], path: Path, **more: Any) -> _R:
    """Read what `write_record` wrote, now or in an older version.

    Args:
        kind: Of the record.
        path: The file.
        more: Keys that the file does not hold; they replace those that it does.

    Raises:
        RunError: If it is missing or damaged.
    """
    known = read_json(path)
    try:
        return kind.model_validate({**known, **more} if isinstance(known, dict) else known)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise RunError(f"{path} is not {kind.what}: {key}: {first['msg']}; got {str(first['input'])[:80]!r}.") from None


def append_record(path: Path, record: Line) -> None:
    """Append one line to a ``.jsonl`` file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record.as_json(), allow_nan=False) + "\n")


def read_lines(kind: type[_L], path: Path) -> list[_L]:
    """The lines of a ``.jsonl`` file; those that are damaged or of another kind are left out."""
    lines = []
    for record in read_records(path):
        try:
            lines.append(kind.model_validate(record))
        except ValidationError:
            continue
    return lines


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a ``.jsonl`` file as they are; a last line cut short by a crash is left out."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record


def drop_records_after(path: Path, step: int) -> None:
    """Remove the lines of steps that a resumed run will do again."""
    if path.exists():
        kept = [record for record in read_records(path) if record["step"] <= step]
        write_text(path, "".join(json.dumps(record) + "\n" for record in kept))


def is_complete(run: Path) -> bool:
    """True if the run ended and wrote its result."""
    return (run / RESULT).is_file()
