"""Verbs that look before a run: check, prepare, profile, list."""

from pathlib import Path
from typing import Annotated

import typer

from segdistill.cli.bars import progress_bar, show_counts
from segdistill.cli.console import out, say
from segdistill.cli.options import Overrides, OwnStudent, OwnTeacher, RecipeName, TrainedStudent
from segdistill.cli.tables import (
    print_checkup,
    print_faults,
    print_layers,
    print_names,
    print_profile,
    print_room,
    print_students,
)
from segdistill.util import ArgumentError


def check(
    recipe: RecipeName,
    overrides: Overrides = None,
    student: OwnStudent = None,
    teacher: OwnTeacher = None,
    json: Annotated[Path | None, typer.Option(help="Also write what was found to this file.")] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Also draw a contact sheet: a PNG of images with their masks laid over.")
    ] = None,
    stats: Annotated[
        bool, typer.Option("--stats", help="Also measure mean and standard deviation of the images' channels.")
    ] = False,
) -> None:
    """Find what is wrong before a run: every file, label value, name and shape; print the class histogram."""
    from segdistill import store
    from segdistill.experiment import check as examine
    from segdistill.experiment import recipe_with

    chosen = recipe_with(recipe, overrides or [], student, teacher)
    with progress_bar() as bar:
        checkup = examine(chosen, student, teacher, pictures=pictures, stats=stats, advance=show_counts(bar))
    print_checkup(checkup, chosen)
    if json is not None:
        store.write_json(json, checkup.as_json())
    if checkup.problems:
        raise typer.Exit(1)


def prepare(
    recipe: RecipeName,
    folder: Annotated[Path, typer.Option("--out", help="Where the cache goes; `data.cache` names it.")],
    overrides: Overrides = None,
) -> None:
    """Decode every image of a recipe once, into a cache that training reads crops from: far faster than PNG."""
    from segdistill.experiment import prepare as write_cache

    with progress_bar() as bar:
        cached = write_cache(recipe, folder, overrides=overrides or [], announce=print_room, advance=show_counts(bar))
    print_faults(cached.faults)
    say(f"prepared: {folder}. Use it by data.cache={folder}")
    if cached.faults:
        raise typer.Exit(1)


def profile(
    recipe: RecipeName,
    overrides: Overrides = None,
    student: OwnStudent = None,
    teacher: OwnTeacher = None,
    steps: Annotated[int, typer.Option(help="Steps that each median is over.")] = 10,
    json: Annotated[Path | None, typer.Option(help="Also write the numbers to this file.")] = None,
) -> None:
    """What a training step costs, part by part and term by term: milliseconds, share, peak memory."""
    from segdistill import store
    from segdistill.experiment import PROFILE_WARM_UP, recipe_with
    from segdistill.experiment import profile as measure

    chosen = recipe_with(recipe, overrides or [], student, teacher)
    with progress_bar() as bar:
        task = bar.add_task(f"measuring {chosen.name}", total=PROFILE_WARM_UP + steps, note="")
        measured = measure(chosen, student, teacher, steps=steps, advance=lambda: bar.advance(task))
    print_profile(measured)
    if json is not None:
        store.write_json(json, measured.as_json())


def list_all(
    overrides: Overrides = None,
    layers: Annotated[
        str | None,
        typer.Option(
            metavar="NETWORK", help="Instead, the layers of a network: SOURCE:NAME, a recipe, a run, MODULE:FUNCTION."
        ),
    ] = None,
    student: TrainedStudent = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Instead, measure the small students on this machine, about a minute.")
    ] = False,
) -> None:
    """Recipes, models, data sets, losses, methods and small students; or, of a network, layers worth tapping."""
    if layers is not None:
        from segdistill.experiment import tappable

        for shown in tappable(layers, overrides or [], student=student):
            print_layers(shown)
        return
    if overrides or student is not None:
        raise ArgumentError("overrides and --student belong to --layers NETWORK; got no --layers.")
    from segdistill.measure import SMALL_STUDENTS, known_costs, measure_students

    if measure:
        with progress_bar() as bar:
            task = bar.add_task("measuring", total=len(SMALL_STUDENTS), note="")
            costs = []
            for cost in measure_students(skip=lambda student, error: say(f"{student.key}: {error}")):
                costs.append(cost)
                bar.advance(task)
        print_students(costs)
        return
    from segdistill.data import DATASETS
    from segdistill.losses import LOSSES, METHODS
    from segdistill.networks import list_networks
    from segdistill.recipe import describe_recipes

    print_names("recipes", describe_recipes())
    for title, names in (
        ("networks of the zoo", list_networks()),
        ("data sets", DATASETS),
        ("losses", LOSSES),
        ("methods", METHODS),
    ):
        out.print(f"{title}: {', '.join(names)}", highlight=False)
    known = known_costs()
    print_students(known.students, known.environment["device"])
