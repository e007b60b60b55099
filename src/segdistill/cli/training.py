"""Verbs that train: demo, train, compare."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segdistill.cli.bars import progress_bar, show_record, show_runs
from segdistill.cli.console import SPEAKS, say
from segdistill.cli.options import Overrides, OwnStudent, OwnTeacher, RecipeName
from segdistill.cli.tables import print_notes, print_result, print_summary
from segdistill.util import RecipeError

if TYPE_CHECKING:
    from segdistill.comparison import Planned


def demo(
    overrides: Overrides = None,
    folder: Annotated[Path, typer.Option("--out", help="Where runs and report go.")] = Path("runs/demo"),
) -> None:
    """Offline, on a CPU, about 4 minutes: a teacher, a student alone, a student with Af-DCD, and a report."""
    from segdistill.comparison import plan_demo, run_demo
    from segdistill.reports import summarise

    runs = plan_demo(folder, overrides or [])
    with progress_bar() as bar:
        tasks = {
            run.title: bar.add_task(run.title, total=run.recipe.train.iterations, start=False, note="") for run in runs
        }
        run_demo(runs, folder / "report.html", lambda run, record: show_record(bar, tasks[run.title], record))
        for task in tasks.values():
            bar.update(task, completed=bar.tasks[task].total)
    print_summary(summarise([run.folder for run in runs]))
    say(f"report: {folder / 'report.html'}")


def train(
    recipe: Annotated[str | None, typer.Argument(metavar="RECIPE", help="Name of a recipe or a YAML file.")] = None,
    overrides: Overrides = None,
    student: OwnStudent = None,
    teacher: OwnTeacher = None,
    folder: Annotated[
        Path | None, typer.Option("--out", help="Run folder, new or empty. [default: runs/<recipe>/<time>]")
    ] = None,
    resume: Annotated[Path | None, typer.Option("--resume", help="Run folder to continue, as its recipe says.")] = None,
) -> None:
    """Train a teacher, a student alone or a distillation, as the recipe says."""
    from segdistill import store
    from segdistill.experiment import new_folder, recipe_of, recipe_with
    from segdistill.experiment import train as run_it

    changes = overrides or []
    if recipe is not None and "=" in recipe and not Path(recipe).exists():
        changes, recipe = [recipe, *changes], None
    if recipe is None and resume is None:
        raise RecipeError(f"give a recipe{' before the overrides' if changes else ''}, or --resume RUN.")
    if resume is not None and folder is not None:
        raise RecipeError(f"--resume continues in {resume} itself: leave --out away.")
    begun = None if resume is None else recipe_of(resume)
    chosen = recipe_with(recipe or begun or "", changes, student, teacher)
    run = resume or folder or new_folder(chosen)
    complete = resume is not None and store.is_complete(resume)
    with progress_bar() as bar:
        task = bar.add_task(chosen.name, total=chosen.train.iterations, note="")
        trained = run_it(
            chosen, student, teacher, out=run, resume=resume is not None,
            on_log=lambda record: show_record(bar, task, record),
        )  # fmt: skip
    if complete:
        say(f"{run} is complete, so nothing was trained. Its result: {run / store.RESULT}")
    print_result(trained)


def compare(
    recipe: RecipeName,
    overrides: Overrides = None,
    student: OwnStudent = None,
    methods: Annotated[str, typer.Option(help="Names by commas (see `list`); a+b: exactly these losses.")] = "",
    seeds: Annotated[str, typer.Option(help="How many, or a list by commas.")] = "3",
    vary: Annotated[
        list[str] | None, typer.Option(metavar="KEY=V,V", help="A row for each value, e.g. terms.af_dcd.groups=4,8")
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(help="A trained run, a recipe to train it by, or MODULE:FUNCTION. [default: teacher.weights]"),
    ] = None,
    teacher_set: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Overrides of the teacher's recipe.")
    ] = None,
    budget: Annotated[str, typer.Option(help="iterations: equal steps; time: equal seconds.")] = "iterations",
    seconds: Annotated[
        float | None,
        typer.Option(help="Training seconds per run, with --budget time. [default: those of the slowest method]"),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Row that differences are also taken to, beside none. [default: kd]")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time; GPUs are dealt out.")] = 1,
    retry: Annotated[bool, typer.Option("--retry", help="Do runs again that failed.")] = False,
    runs_only: Annotated[bool, typer.Option("--runs-only", help="Write neither tables nor report.")] = False,
    folder: Annotated[
        Path | None, typer.Option("--out", help="Where it all goes. [default: runs/compare/<recipe>]")
    ] = None,
) -> None:
    """Methods x seeds x settings on one teacher: which helps, by how much, at what cost. Repeats nothing."""
    from segdistill.comparison import compare as run_it
    from segdistill.comparison import parse_seeds

    with progress_bar() as bar:
        show = show_runs(bar)
        count = bar.add_task("runs done", total=None, note="", visible=False)

        def advance(_: "Planned", done: int, total: int) -> None:
            bar.update(count, completed=done, total=total, visible=True)

        compared = run_it(
            recipe, [name.strip() for name in methods.split(",") if name.strip()], parse_seeds(seeds),
            overrides=overrides or [], vary=vary or [], student=student, teacher=teacher,
            teacher_overrides=teacher_set or [], budget=budget, seconds=seconds, against=against, jobs=jobs,
            retry=retry, runs_only=runs_only, out=folder, announce=say, on_log=show, on_done=advance,
        )  # fmt: skip
    if runs_only or not SPEAKS:
        return
    print_summary(compared.rows)
    print_notes(compared.rows)
    place = compared.folder
    say(f"report: {place / 'report.html'}; tables: {place}/table.md, .tex, .csv, .json")
    if any(row.failed for row in compared.rows):
        raise typer.Exit(1)
