"""The command line: one function a verb. Heavy imports are inside, so that help is quick."""

import gc
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from segdistill import __version__
from segdistill.cli.display import (
    SPEAKS,
    err,
    escape,
    out,
    print_checkup,
    print_faults,
    print_notes,
    print_profile,
    print_result,
    print_room,
    print_scores,
    print_summary,
    progress_bar,
    show_counts,
    show_record,
    show_runs,
)
from segdistill.util import ArgumentError, RunError

app = typer.Typer(
    name="segdistill",
    help="Train small segmentation networks from big ones by knowledge distillation, and prove what was gained.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
RecipeName = Annotated[str, typer.Argument(help="Name of a recipe (see `segdistill list`) or a YAML file.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Overrides, e.g. optim.lr=0.01")]


def main() -> None:
    """Run the command line; what is the user's to mend ends as a sentence on stderr and exit code 2."""
    code = 0
    try:
        app()
    except _user_errors() as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        code = 2
    finally:
        _leave_process_group()
    sys.exit(code)


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(__version__, highlight=False)
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave."),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", force=True)
    logging.getLogger().handlers[0].setLevel(logging.INFO if verbose else logging.WARNING)
    logging.getLogger("segdistill").setLevel(logging.INFO)  # for `events.log` of a run, which says more


@app.command()
def demo(
    overrides: Overrides = None,
    folder: Annotated[Path, typer.Option("--out", help="Where runs and report go.")] = Path("runs/demo"),
) -> None:
    """Offline, on a CPU, about 4 minutes: a teacher, a student alone, a student with Af-DCD, and a report."""
    from segdistill.comparison import plan_demo, run_demo
    from segdistill.engine import Stopped
    from segdistill.reports import summarise

    runs = plan_demo(folder, overrides or [])
    try:
        with progress_bar() as bar:
            tasks = {
                run.title: bar.add_task(run.title, total=run.recipe.train.iterations, start=False, note="")
                for run in runs
            }
            run_demo(runs, folder / "report.html", lambda run, record: show_record(bar, tasks[run.title], record))
            for task in tasks.values():
                bar.update(task, completed=bar.tasks[task].total)
    except Stopped as stop:
        err.print(f"{stop} The same command continues.", highlight=False, soft_wrap=True)
        raise typer.Exit(128 + stop.signum) from None
    print_summary(summarise([run.folder for run in runs]))
    out.print(f"report: {folder / 'report.html'}")


@app.command()
def train(
    recipe: Annotated[str | None, typer.Argument(help="Name of a recipe or a YAML file.")] = None,
    overrides: Overrides = None,
    folder: Annotated[Path | None, typer.Option("--out", help="Run folder. [default: runs/<recipe>/<time>]")] = None,
    resume: Annotated[Path | None, typer.Option("--resume", help="Run folder to continue.")] = None,
) -> None:
    """Train a teacher, a student alone or a distillation, as the recipe says."""
    from segdistill import store
    from segdistill.engine import Stopped
    from segdistill.experiment import new_folder, recipe_of, run_recipe
    from segdistill.recipe import load_recipe
    from segdistill.util import RecipeError

    if recipe is None and resume is None:
        raise RecipeError("give a recipe, or --resume RUN.")
    if resume is not None and folder is not None:
        raise RecipeError(f"--resume continues in {resume} itself: leave --out away.")
    begun = None if resume is None else recipe_of(resume)
    chosen = begun if recipe is None and begun else load_recipe(recipe or "", overrides or [])
    run = resume or folder or new_folder(chosen)
    if SPEAKS and resume is None and run.is_dir() and {file.name for file in run.iterdir()} - {store.EVENTS}:
        raise RecipeError(f"{run} exists and is not empty. Continue it with --resume {run}, or choose another --out.")
    try:
        with progress_bar() as bar:
            task = bar.add_task(chosen.name, total=chosen.train.iterations, note="")
            result = run_recipe(
                chosen, run, resume=resume is not None, on_log=lambda record: show_record(bar, task, record)
            )
    except Stopped as stop:
        err.print(f"{stop} Continue with: segdistill train --resume {run}", highlight=False, soft_wrap=True)
        raise typer.Exit(128 + stop.signum) from None
    print_result(result, run)


@app.command()
def compare(
    recipe: RecipeName,
    overrides: Overrides = None,
    methods: Annotated[str, typer.Option(help="Names by commas (see `segdistill list`); a+b: just these.")] = "",
    seeds: Annotated[str, typer.Option(help="How many, or a list by commas.")] = "3",
    vary: Annotated[
        list[str] | None, typer.Option(metavar="KEY=V,V", help="A row for each value, e.g. terms.af_dcd.groups=4,8")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="A trained run, or a recipe to train it by. [default: the recipe's]")
    ] = None,
    teacher_set: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="For the teacher recipe.")] = None,
    budget: Annotated[str, typer.Option(help="iterations: equal steps; time: equal seconds.")] = "iterations",
    seconds: Annotated[float | None, typer.Option(help="A run's, with --budget time. [default: the slowest's]")] = None,
    against: Annotated[str | None, typer.Option(help="Row to take differences to, beside none. [default: kd]")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time; GPUs are dealt out.")] = 1,
    retry: Annotated[bool, typer.Option("--retry", help="Do runs again that failed.")] = False,
    runs_only: Annotated[bool, typer.Option("--runs-only", help="Neither tables nor report.")] = False,
    folder: Annotated[Path | None, typer.Option("--out", help="[default: runs/compare/<recipe>]")] = None,
) -> None:
    """Methods x seeds x settings on one teacher: which helps, by how much, at what cost. Repeats nothing."""
    from segdistill.comparison import finish_all, forget_failures, parse_seeds, plan, run_workers, set_up
    from segdistill.engine import Stopped
    from segdistill.losses import METHODS
    from segdistill.util import RecipeError

    place = folder or Path("runs/compare") / Path(recipe).stem
    wanted = [name.strip() for name in methods.split(",") if name.strip()]
    if not wanted:
        raise RecipeError(f"give --methods, names by commas. Known: {', '.join(METHODS)}.")
    planned = plan(
        recipe, overrides or [], methods=wanted, seeds=parse_seeds(seeds), folder=place, vary=vary or [],
        teacher=teacher, teacher_overrides=teacher_set or [], budget=budget, seconds=seconds, against=against,
    )  # fmt: skip
    try:
        with progress_bar() as bar:
            show = show_runs(bar)
            runs = set_up(planned, show)
            if retry:
                forget_failures(runs)
            if jobs > 1:
                run_workers([*sys.argv[1:], "--jobs", "1", "--runs-only"], jobs, place)
            count = bar.add_task("runs done", total=len(runs), note="")
            for _ in finish_all(runs, show):
                bar.advance(count)
    except Stopped as stop:
        err.print(f"{stop} The same command continues.", highlight=False, soft_wrap=True)
        raise typer.Exit(128 + stop.signum) from None
    if runs_only or not SPEAKS:
        return
    from segdistill.comparison import conclude

    rows = conclude(place)
    print_summary(rows)
    print_notes(rows)
    out.print(f"report: {place / 'report.html'}; tables: {place}/table.md, .tex, .csv, .json", soft_wrap=True)
    if any(row.failed for row in rows):
        raise typer.Exit(1)


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder, or a student.safetensors with --recipe.")],
    overrides: Overrides = None,
    recipe: Annotated[str | None, typer.Option(help="Recipe that names the data. [default: that of the run]")] = None,
    split: Annotated[str | None, typer.Option(help="[default: the recipe's test split, else its val split]")] = None,
    official: Annotated[
        str | None,
        typer.Option(help="For a .pth of the paper's authors: which network, e.g. deeplabv3_resnet18"),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Also write the scores to this file.")] = None,
) -> None:
    """Score a trained network: mIoU, pixel accuracy, IoU of each class, under a named protocol."""
    from segdistill import store
    from segdistill.experiment import score_network
    from segdistill.recipe import load_recipe

    if recipe is None and not (run / store.RECIPE).is_file():
        raise RunError(f"{run} is not a run folder, so --recipe must name the data to score it on.")
    source = recipe or str(run / store.RECIPE)
    result = score_network(load_recipe(source, overrides or []), run, split=split, official=official)
    print_scores(result)
    if json is not None:
        store.write_json(json, result)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="A run folder or a student.safetensors.")],
    source: Annotated[str, typer.Argument(help="An image, a folder, or a quoted glob pattern.")],
    folder: Annotated[Path, typer.Option("--out", help="Where masks and overlays go.")] = Path("predictions"),
    device: Annotated[str, typer.Option(help="cpu or cuda. [default: cuda if there is one]")] = "auto",
) -> None:
    """Write a class mask and an overlay for every image."""
    import torch

    from segdistill.prediction import load, predict_files

    if device not in ("auto", "cpu", "cuda"):
        raise ArgumentError(f"`--device` must be auto, cpu or cuda; got {device!r}.")
    if device == "cuda" and not torch.cuda.is_available():
        raise ArgumentError("`--device` is cuda, but torch sees no GPU here. Take --device cpu.")
    chosen = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    written = 0
    for mask in predict_files(load(run).to(chosen), source, folder):
        written += 1
        out.print(str(mask), highlight=False, soft_wrap=True)
    out.print(f"{written} images, masks and overlays in {folder}")


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Complete run folders, or the folder of a comparison.")],
    file: Annotated[Path, typer.Option("--out", help="HTML file.")] = Path("report.html"),
    markdown: Annotated[Path | None, typer.Option(help="Also write the table as Markdown.")] = None,
) -> None:
    """One HTML file, and a table, for one or several runs; runs of one name are seeds of one row."""
    from segdistill import store
    from segdistill.reports import rows_of, summarise, to_markdown, write_report
    from segdistill.store import read_comparison

    comparison = read_comparison(runs[0]) if len(runs) == 1 and (runs[0] / store.COMPARISON).is_file() else None
    rows = summarise(runs) if comparison is None else rows_of(comparison)
    write_report(rows, file, comparison)
    print_summary(rows)
    if markdown is not None:
        store.write_text(markdown, to_markdown(rows))
    out.print(f"report: {file}")


@app.command()
def check(recipe: RecipeName, overrides: Overrides = None) -> None:
    """Find what is wrong before a run: every file, label value, name and shape; print the class histogram."""
    from segdistill.experiment import check as examine
    from segdistill.recipe import load_recipe

    chosen = load_recipe(recipe, overrides or [])
    with progress_bar() as bar:
        checkup = examine(chosen, advance=show_counts(bar))
    print_checkup(checkup, chosen)
    if checkup.problems:
        raise typer.Exit(1)


@app.command()
def prepare(
    recipe: RecipeName,
    folder: Annotated[Path, typer.Option("--out", help="Where the cache goes; `data.cache` names it.")],
    overrides: Overrides = None,
) -> None:
    """Decode every image of a recipe once, into a cache that training reads crops from: far faster than PNG."""
    from segdistill.data import prepare as write_cache
    from segdistill.experiment import build_sources
    from segdistill.recipe import load_recipe

    chosen = load_recipe(recipe, overrides or [])
    sources = build_sources(chosen)
    with progress_bar() as bar:
        faults = write_cache(
            sources, folder, num_workers=chosen.data.num_workers, announce=print_room, progress=show_counts(bar)
        )
    print_faults(faults)
    out.print(f"prepared: {folder}. Use it by data.cache={folder}", highlight=False, soft_wrap=True)
    if faults:
        raise typer.Exit(1)


@app.command()
def profile(
    recipe: RecipeName,
    overrides: Overrides = None,
    steps: Annotated[int, typer.Option(help="Steps that each median is over.")] = 10,
    json: Annotated[Path | None, typer.Option(help="Also write the numbers to this file.")] = None,
) -> None:
    """What a training step costs, part by part and term by term: milliseconds, share, peak memory."""
    from segdistill import store
    from segdistill.experiment import PROFILE_WARM_UP
    from segdistill.experiment import profile as measure
    from segdistill.recipe import load_recipe

    chosen = load_recipe(recipe, overrides or [])
    with progress_bar() as bar:
        task = bar.add_task(f"measuring {chosen.name}", total=PROFILE_WARM_UP + steps, note="")
        measured = measure(chosen, steps=steps, advance=lambda: bar.advance(task))
    print_profile(measured)
    if json is not None:
        store.write_json(json, measured.as_json())


@app.command(name="list")
def list_all() -> None:
    """Recipes, models, data sets, losses and methods of a comparison."""
    from segdistill.data import DATASETS
    from segdistill.losses import LOSSES, METHODS
    from segdistill.networks import list_networks
    from segdistill.recipe import load_recipe, recipe_names

    columns = Column("name", no_wrap=True), Column("description")
    table = Table(*columns, title="recipes", show_header=False, title_justify="left", box=None)
    for name in recipe_names():
        described = load_recipe(name, ["teacher.weights=RUN"] if _distils(name) else [])
        table.add_row(name, described.description)
    out.print(table)
    for title, names in (
        ("networks of the zoo", list_networks()),
        ("data sets", DATASETS),
        ("losses", LOSSES),
        ("methods", METHODS),
    ):
        out.print(f"{title}: {', '.join(names)}", highlight=False)


def _distils(name: str) -> bool:
    from segdistill.recipe import load_recipe
    from segdistill.util import RecipeError

    try:
        load_recipe(name)
    except RecipeError:
        return True
    return False


def _user_errors() -> tuple[type[BaseException], ...]:
    """What a user can mend. Anything else is our fault and keeps its traceback."""
    errors: list[type[BaseException]] = [ValueError, OSError]
    if "segdistill.engine.meter" in sys.modules:
        errors.append(sys.modules["segdistill.engine.meter"].NotFiniteError)
    if "torch" in sys.modules:
        errors.append(sys.modules["torch"].cuda.OutOfMemoryError)
    return tuple(errors)


def _leave_process_group() -> None:
    """Under torchrun: leave in order, with no model alive, or gloo aborts at exit."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
        gc.collect()
        torch.distributed.destroy_process_group()
