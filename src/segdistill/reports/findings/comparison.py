"""The rows of a comparison, of what is done so far."""

from dataclasses import replace
from pathlib import Path

from segdistill import store
from segdistill.reports.findings.row import Failure, Row
from segdistill.reports.findings.rows import make_rows
from segdistill.store import Comparison, Run, read_failure, read_runs
from segdistill.util import RunError


def rows_of(comparison: Comparison) -> list[Row]:
    """Rows of what is done so far: the teacher, if its run is there, and every method with its seeds and failures.

    Raises:
        RunError: If no run is complete and none failed, or a file is damaged.
    """
    folders, failures = [], []
    for method in comparison.methods:
        for run in method.runs:
            folder = comparison.folder / run
            if store.is_complete(folder):
                folders.append(folder)
            elif (error := read_failure(folder)) is not None:
                failures.append(Failure(method.name, "student" if method.method == "none" else "distilled", error))
    if not folders and not failures:
        raise RunError(
            f"{comparison.folder}: no run of this comparison is complete. Continue it with the same command."
        )
    runs = read_runs(folders) if folders else []
    rows = make_rows([*_teacher(comparison), *runs], against=comparison.against, failed=failures)
    latency = comparison.ms_per_image
    names = [row.name if row.kind != "teacher" else "teacher" for row in rows]
    return [
        replace(row, ms_per_image=latency.get(name, row.ms_per_image)) for name, row in zip(names, rows, strict=True)
    ]


def _teacher(comparison: Comparison) -> list[Run]:
    """The teacher's run, in the comparison or elsewhere; none if it is gone, mere weights, or a run of another kind."""
    if not comparison.teacher:
        return []
    folder = comparison.folder / "teacher" if comparison.teacher == "teacher" else Path(comparison.teacher)
    found = read_runs([folder]) if store.is_complete(folder) else []
    return [run for run in found if run.result.kind == "teacher"]
