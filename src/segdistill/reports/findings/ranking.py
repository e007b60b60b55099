"""Which rows a report is about, and which row is held against which."""

from collections.abc import Sequence

from segdistill.reports.findings.row import Row


def rival(row: Row, rows: Sequence[Row]) -> Row | None:
    """The student alone that a distilled row is held against: same network and protocol; of several, the best.

    Of several the best, since a distillation that only makes up for a worse setting has won nothing.
    """
    key = ("student", row.model, row.protocol)
    kin = [other for other in rows if (other.kind, other.model, other.protocol) == key and other.miou is not None]
    return max(kin, key=lambda other: other.miou or 0.0, default=None)


def best_distilled(rows: Sequence[Row]) -> Row | None:
    """The distilled row that a report is about: of those with a student alone to compare with, the best."""
    compared = [row for row in rows if row.kind == "distilled" and row.gain is not None]
    return max(compared, key=lambda row: row.miou or 0.0, default=None)


def alone_of(rows: Sequence[Row], row: Row) -> int | None:
    """Number of the row that a distilled row is held against; None for other rows, or if it is not there."""
    alone = rival(row, rows) if row.kind == "distilled" else None
    return next((index for index, other in enumerate(rows) if other is alone), None)


def main_rows(rows: Sequence[Row]) -> list[int]:
    """Numbers of the rows to highlight: the teacher, the best distilled row, and the student alone it is compared with.

    Of rows that nothing is distilled in, the first of each kind. In the order of the rows: the last one is what the
    report is about.
    """
    best = best_distilled(rows) or next((row for row in rows if row.kind == "distilled" and row.runs), None)
    chosen: dict[str, int] = {row.kind: index for index, row in reversed([*enumerate(rows)]) if row.runs}
    if best is not None:
        alone = alone_of(rows, best)
        chosen |= {"distilled": rows.index(best)} | ({} if alone is None else {"student": alone})
    return sorted(chosen.values())
