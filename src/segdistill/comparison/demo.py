"""The demo: a teacher, a student alone, a student with Af-DCD, and their report."""

from collections.abc import Sequence
from pathlib import Path

from segdistill.comparison.execution import OnLog, finish_all
from segdistill.comparison.planning import Planned
from segdistill.recipe import load_recipe
from segdistill.reports import summarise, write_report

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


def run_demo(runs: Sequence[Planned], report: Path, on_log: OnLog) -> None:
    """Do every run that is not complete, in order, and write the report.

    Args:
        runs: Teachers before their students.
        report: HTML file.
        on_log: Called with the run and every record of it.

    Raises:
        RecipeError: If a folder holds a run with another recipe, whose result would pass for this one's.
    """
    for _ in finish_all(runs, on_log, keep_going=False):
        pass
    write_report(summarise([run.folder for run in runs]), report)
