"""Reads the folder of a comparison: what was planned, and what became of it."""

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from pydantic import Field, field_validator

from segdistill import rundir
from segdistill.reports.read import Positive, Record, Run, read_as, read_failure, read_runs
from segdistill.reports.table import Failure, Row, make_rows
from segdistill.rundir import RunError

Format = Literal["segdistill-comparison-1"]
FORMAT: str = get_args(Format)[0]


class Method(Record):
    """A row of a comparison.

    Attributes:
        name: Of the row.
        method: Name of the method; several rows of one method differ in their settings.
        settings: Keys of the recipe that were varied, and their values.
        runs: Folders of its runs, one a seed, relative to the comparison's.
    """

    name: str
    method: str
    settings: dict[str, Any] = Field(default_factory=dict)
    runs: list[str]

    @field_validator("runs")
    @classmethod
    def _check_inside(cls, runs: list[str]) -> list[str]:
        for run in runs:
            path = PurePosixPath(run)
            if path.is_absolute() or ".." in path.parts or "\\" in run or ":" in run or "\0" in run:
                raise ValueError(f"a run must be a folder inside the comparison, got {run!r}")
        return runs


class Comparison(Record):
    """What ``comparison.json`` says.

    Attributes:
        folder: Of the comparison.
        format: Of the file.
        name: Of the recipe that all runs share.
        command: That started it.
        budget: What all runs have alike: steps or wall-clock time.
        budget_seconds: Of a run, under the time budget.
        against: Name of the method that differences are also taken to.
        teacher: Folder of the teacher's run, in the comparison or elsewhere, or its weights; None without one.
        methods: The rows.
        ms_per_image: Latency by row, measured in turn; empty if it was not.
    """

    folder: Path
    format: Format
    name: str
    command: str = ""
    budget: Literal["iterations", "time"] = "iterations"
    budget_seconds: Positive | None = None
    against: str | None = None
    teacher: str | None = None
    methods: list[Method] = Field(min_length=1)
    ms_per_image: dict[str, Positive] = Field(default_factory=dict)


def read_comparison(folder: Path) -> Comparison:
    """Read the plan of a comparison.

    Raises:
        RunError: If the folder holds none, or the file is damaged.
    """
    path = Path(folder) / rundir.COMPARISON
    if not path.is_file():
        raise RunError(f"{folder} is not the folder of a comparison: it has no {rundir.COMPARISON}.")
    return read_as(Comparison, path, "the plan of a comparison", folder=Path(folder))


def rows_of(comparison: Comparison) -> list[Row]:
    """Rows of what is done so far: the teacher, if its run is there, and every method with its seeds and failures.

    Raises:
        RunError: If no run is complete and none failed, or a file is damaged.
    """
    folders, failures = [], []
    for method in comparison.methods:
        for run in method.runs:
            folder = comparison.folder / run
            if rundir.is_complete(folder):
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


def first_runs(comparison: Comparison) -> dict[str, Path]:
    """Folder of the first complete run of every row by the row's name, and of the teacher that was made here.

    Rows without a complete run are left out.
    """
    runs = {method.name: [comparison.folder / run for run in method.runs] for method in comparison.methods}
    if comparison.teacher == "teacher":
        runs["teacher"] = [comparison.folder / "teacher"]
    firsts = {name: next(filter(rundir.is_complete, folders), None) for name, folders in runs.items()}
    return {name: folder for name, folder in firsts.items() if folder is not None}


def _teacher(comparison: Comparison) -> list[Run]:
    """The teacher's run, in the comparison or elsewhere; none if it is gone, mere weights, or a run of another kind."""
    if not comparison.teacher:
        return []
    folder = comparison.folder / "teacher" if comparison.teacher == "teacher" else Path(comparison.teacher)
    found = read_runs([folder]) if rundir.is_complete(folder) else []
    return [run for run in found if run.result.kind == "teacher"]
