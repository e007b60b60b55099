"""The rows for programs: CSV and JSON, with raw numbers."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from segdistill.metrics import Paired
from segdistill.reports.findings.row import Row
from segdistill.reports.tables.table import printable


def to_csv(rows: Sequence[Row]) -> str:
    """One line a row with raw numbers, scores and differences in [0, 1]; an empty field where one is not known.

    Text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    file = io.StringIO()
    flat = [_flat(row) for row in rows]
    writer = csv.DictWriter(file, list(flat[0]) if flat else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _field(value) for key, value in line.items()} for line in flat)
    return file.getvalue()


def _flat(row: Row) -> dict[str, Any]:
    values = _values(row)
    for key in ("vs_alone", "vs_other"):
        pair = values.pop(key) or {}
        values |= {f"{key}_{part}": pair.get(part) for part in ("mean", "std", "low", "high", "n")}
    values.pop("runs")
    return values | {"seeds": " ".join(map(str, row.seeds)), "failed": len(row.failed)}


_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What spreadsheets begin a formula with, also in full width."""


def _field(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def to_json(rows: Sequence[Row]) -> str:
    """Every number of the rows, with the score of each seed and the paired differences with their intervals."""
    return json.dumps({"rows": [_values(row) for row in rows]}, indent=2, allow_nan=False) + "\n"


def _values(row: Row) -> dict[str, Any]:
    """A row as plain values, all keys in every row."""
    return {
        "name": row.name,
        "kind": row.kind,
        "model": row.model,
        "method": row.method,
        "protocol": row.protocol,
        **{key: getattr(row, key) for key in _NUMBERS},
        "gap_reason": row.gap_reason or None,
        "vs_alone": _pair(row.vs_alone),
        "against": row.against,
        "vs_other": _pair(row.vs_other),
        "seeds": list(row.seeds),
        "failed": list(row.failed),
        "runs": [
            {
                "seed": run.result.seed,
                "miou": run.result.score.miou if run.result.score else None,
                "boundary_iou": boundary.iou if boundary else None,
                "boundary_f": boundary.f if boundary else None,
                "steps": run.result.iterations,
                "seconds": run.result.seconds,
            }
            for run in row.runs
            for boundary in [run.result.score.boundary if run.result.score else None]
        ],
    }


_NUMBERS = (
    *("miou", "miou_std", "boundary_iou", "boundary_f", "alone_miou", "teacher_miou", "gain", "gap_closed", "params"),
    *("ms_per_image", "steps", "seconds", "images_per_s", "peak_memory_mb"),
)


def _pair(pair: Paired | None) -> dict[str, Any] | None:
    if pair is None:
        return None
    numbers = {key: getattr(pair, key) for key in ("mean", "std", "low", "high", "n", "confidence", "decided")}
    return numbers | {"differences": [{"seed": seed, "difference": value} for seed, value in pair.by_seed.items()]}
