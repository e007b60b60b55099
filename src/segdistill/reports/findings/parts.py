"""The parts of a row's loss over its training, and those that are 0 all the while."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from segdistill.reports.findings.row import Row
from segdistill.reports.findings.units import listing
from segdistill.store import Curve, LogLine, curve

PartsKey: TypeAlias = Literal["parts", "grad_norms"]


def part_curves(row: Row, key: PartsKey = "parts") -> dict[str, list[Curve]]:
    """By name of the part, the curve of each run.

    Args:
        row: The row.
        key: ``"parts"``, before their weights; ``"grad_norms"``, norms of the gradients of the weighted ones.
    """
    names = dict.fromkeys(name for run in row.runs for line in run.log for name in getattr(line, key))
    return {name: [curve(run.log, _reader(key, name)) for run in row.runs] for name in names}


def _reader(key: PartsKey, name: str) -> Callable[[LogLine], float | None]:
    return lambda line: (line.parts if key == "parts" else line.grad_norms).get(name)


def silent_parts(row: Row, key: PartsKey = "parts") -> list[str]:
    """Names of the parts that are 0 in every line of every run: what they stand for taught nothing."""
    found = part_curves(row, key).items()
    return [name for name, seeds in found if not any(value for seed in seeds for _, value in seed)]


def silence(rows: Sequence[Row], key: PartsKey = "parts") -> list[str]:
    """A sentence for every row with silent parts; a logarithmic axis cannot show them.

    The row is named only among several.
    """
    notes = []
    for row in rows:
        if names := silent_parts(row, key):
            where = f"{row.name}: " if len(rows) > 1 else ""
            notes.append(f"{where}{listing(names)} {'is' if len(names) == 1 else 'are'} 0 throughout.")
    return notes
