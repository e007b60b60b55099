"""Several recipes that belong together: run them all, then one table and one report."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from segdistill import rundir
from segdistill.config import Recipe, load_recipe
from segdistill.reports import write_report
from segdistill.run import run_recipe


class Planned(NamedTuple):
    """A run that shall be done.

    Attributes:
        title: For the progress bar.
        recipe: What to do.
        folder: Where.
    """

    title: str
    recipe: Recipe
    folder: Path


DEMO_RUNS = (("teacher", "demo_teacher"), ("student alone", "demo_student"), ("student with Af-DCD", "demo"))


def plan_demo(folder: Path, overrides: Sequence[str] = ()) -> list[Planned]:
    """Teacher, student alone and student with Af-DCD on procedural streets.

    The two students start from the same weights and see the same crops in the same order: both follow from the
    seed, which their recipes share.
    """
    teacher = folder / "teacher"
    runs = []
    for title, name in DEMO_RUNS:
        needs = [f"teacher.weights={teacher}"] if name == "demo" else []
        run = teacher if name == "demo_teacher" else folder / name
        runs.append(Planned(title, load_recipe(name, [*needs, *overrides]), run))
    return runs


def run_all(
    runs: Sequence[Planned], report: Path, on_log: Callable[[Planned, dict[str, Any]], None]
) -> list[dict[str, Any]]:
    """Do every run that is not complete, in order, and write the report.

    Args:
        runs: Teachers before their students.
        report: HTML file.
        on_log: Called with the run and every record of it.

    Raises:
        RecipeError: If a folder holds a run with another recipe, whose result would pass for this one's.
    """
    results = [run_recipe(run.recipe, run.folder, resume=True, on_log=partial(on_log, run)) for run in runs]
    write_report([run.folder for run in runs if rundir.is_complete(run.folder)], report)
    return results
