"""Reads the folder of a comparison: what was planned, and what became of it."""

from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from pydantic import Field, field_validator

from segdistill.store.jsonfiles import is_complete
from segdistill.store.names import COMPARISON
from segdistill.store.records import Positive, Record
from segdistill.store.runs import read_as
from segdistill.util import RunError

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
    path = Path(folder) / COMPARISON
    if not path.is_file():
        raise RunError(f"{folder} is not the folder of a comparison: it has no {COMPARISON}.")
    return read_as(Comparison, path, "the plan of a comparison", folder=Path(folder))


def first_runs(comparison: Comparison) -> dict[str, Path]:
    """Folder of the first complete run of every row by the row's name, and of the teacher that was made here.

    Rows without a complete run are left out.
    """
    runs = {method.name: [comparison.folder / run for run in method.runs] for method in comparison.methods}
    if comparison.teacher == "teacher":
        runs["teacher"] = [comparison.folder / "teacher"]
    firsts = {name: next(filter(is_complete, folders), None) for name, folders in runs.items()}
    return {name: folder for name, folder in firsts.items() if folder is not None}
