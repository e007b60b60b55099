"""The record of a folder's exported files."""

from pathlib import Path
from typing import Any

from segdistill import store
from segdistill.store import ExportedFile, ExportManifest


def note(folder: Path, name: str, record: ExportedFile) -> None:
    """Add a file to the folder's manifest."""
    path = folder / store.EXPORT
    known = store.read_record(ExportManifest, path).files if path.is_file() else {}
    store.write_record(path, ExportManifest(files={**known, name: record}))


def as_row(name: str, record: ExportedFile) -> dict[str, Any]:
    """A row of a table: what is worth knowing of a file."""
    largest = [found.largest for found in record.differences if found.largest is not None]
    return {
        "file": name,
        "verified": record.verified,
        "largest": max(largest, default=None),
        "equal": min((found.equal for found in record.differences), default=None),
        "miou": None if record.score is None else record.score.miou,
        "trained_miou": None if record.trained is None else record.trained.miou,
        "ms": None if record.speed is None else record.speed.median,
        "trained_ms": None if record.trained_speed is None else record.trained_speed.median,
        "bytes": record.bytes,
    }
