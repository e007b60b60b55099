"""JSON files and lines, written whole or not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segdistill.store.names import RESULT
from segdistill.util import RunError, write_atomic


def write_text(path: Path, text: str) -> None:
    """Replace a text file in one step."""
    write_atomic(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically; NaN is refused, since it is not JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


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


def append_record(path: Path, record: dict[str, Any]) -> None:
    """Append one line to a ``.jsonl`` file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, allow_nan=False) + "\n")


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a ``.jsonl`` file; a last line cut short by a crash is left out."""
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
    """Remove the records of steps that a resumed run will do again."""
    if path.exists():
        kept = [record for record in read_records(path) if record["step"] <= step]
        write_text(path, "".join(json.dumps(record) + "\n" for record in kept))


def is_complete(run: Path) -> bool:
    """True if the run ended and wrote its result."""
    return (run / RESULT).is_file()
