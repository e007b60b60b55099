"""What a report knows by class: scores, names, and the one colour that a class has everywhere."""

from collections.abc import Sequence
from statistics import mean
from typing import Literal, NamedTuple, TypeAlias

from segdistill.labels import palette
from segdistill.reports.findings.row import Row
from segdistill.store import Run

Measure: TypeAlias = Literal["IoU", "boundary IoU", "boundary F"]
ClassTable: TypeAlias = dict[str, list[float | None]]


class ClassLabel(NamedTuple):
    """A class: its name, and its colour in pictures, legends and figures, as ``#rrggbb``."""

    name: str
    color: str


def class_labels(rows: Sequence[Row]) -> list[ClassLabel]:
    """The classes by train id, from the first run that names them; empty if none does."""
    tables = (run.result.labels for row in rows for run in row.runs)
    table = next((table for table in tables if table), None)
    if table is None:
        return []
    return [ClassLabel(name, _hex(color)) for name, color in zip(table.names, table.colors, strict=False)]


def class_label(labels: Sequence[ClassLabel], train_id: int) -> ClassLabel:
    """The class of a train id; one that the table does not know is named by its number.

    >>> class_label([], 0)
    ClassLabel(name='class 0', color='#e62e2e')
    """
    if train_id < len(labels):
        return labels[train_id]
    return ClassLabel(f"class {train_id}", _hex(palette(train_id + 1)[train_id]))


def _hex(color: tuple[int, int, int]) -> str:
    return "#" + bytes(color).hex()


def class_table(rows: Sequence[Row], measure: Measure = "IoU") -> ClassTable:
    """Scores by class name, one value per row: the mean over the seeds in which the class occurs."""
    scores = [[_scores(run, measure) for run in row.runs] for row in rows]
    names = dict.fromkeys(name for row in scores for seed in row for name in seed)
    table: ClassTable = {}
    for name in names:
        known = [[value for seed in row if (value := seed.get(name)) is not None] for row in scores]
        table[name] = [mean(values) if values else None for values in known]
    return table if any(value is not None for line in table.values() for value in line) else {}


def _scores(run: Run, measure: Measure) -> dict[str, float | None]:
    score = run.result.score
    if score is None:
        return {}
    if measure == "IoU":
        return dict(score.per_class_iou)
    if score.boundary is None:
        return {}
    return dict(score.boundary.per_class_iou if measure == "boundary IoU" else score.boundary.per_class_f)
