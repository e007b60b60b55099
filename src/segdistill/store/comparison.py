"""``comparison.json``: what a comparison consists of, and what became of it."""

from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal, get_args

from pydantic import Field, field_validator

from segdistill.store.jsonfiles import is_complete, read_record
from segdistill.store.names import COMPARISON
from segdistill.store.records import Positive, Record
from segdistill.util import RunError

Format = Literal["segdistill-comparison-1"]
FORMAT: Format = get_args(Format)[0]


class MethodRecord(Record):
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
        folder: Of the comparison; not in the file.
        format: Of the file.
        name: Of the recipe that all runs share.
        command: That started it.
        budget: What all runs have alike: steps or wall-clock time.
        budget_seconds: Of a run, under the time budget.
        seconds_per_step: Median by row, measured under the time budget.
        against: Name of the method that differences are also taken to.
        teacher: Folder of the teacher's run, in the comparison or elsewhere, or its weights; None without one.
        methods: The rows.
        recipe: That all runs share.
        ms_per_image: Latency by row, measured in turn; empty if it was not.
    """

    what: ClassVar[str] = "the plan of a comparison"
    folder: Path = Field(exclude=True)
    format: Format
    name: str
    command: str = ""
    budget: Literal["iterations", "time"] = "iterations"
    budget_seconds: Positive | None = None
    seconds_per_step: dict[str, Positive] = Field(default_factory=dict)
    against: str | None = None
    teacher: str | None = None
    methods: list[MethodRecord] = Field(min_length=1)
    recipe: dict[str, Any] = Field(default_factory=dict)
    ms_per_image: dict[str, Positive] = Field(default_factory=dict)


def read_comparison(folder: Path) -> Comparison:
    """Read the plan of a comparison.

    Raises:
        RunError: If the folder holds none, or the file is damaged.
    """
    path = Path(folder) / COMPARISON
    if not path.is_file():
        raise RunError(f"{folder} is not the folder of a comparison: it has no {COMPARISON}.")
    return read_record(Comparison, path, folder=Path(folder))


def first_runs(comparison: Comparison) -> dict[str, Path]:
    """Folder of the first complete run of every row by the row's name, and of the teacher that was made here.

    Rows without a complete run are left out.
    """
    runs = {method.name: [comparison.folder / run for run in method.runs] for method in comparison.methods}
    if comparison.teacher == "teacher":
        runs["teacher"] = [comparison.folder / "teacher"]
    firsts = {name: next(filter(is_complete, folders), None) for name, folders in runs.items()}
    return {name: folder for name, folder in firsts.items() if folder is not None}
