"""From a plan to runs: teacher made, methods tried, budget settled, everything written down."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segdistill import store
from segdistill.comparison.execution import OnLog, finish_all, measure_speeds
from segdistill.comparison.planning import Comparison, Planned, Variant, in_order
from segdistill.experiment import ask_teachers, build, for_device, make_accelerator, refuse_silent
from segdistill.recipe import TeacherConfig, change_recipe, differences
from segdistill.store import FORMAT, MethodRecord, read_comparison
from segdistill.util import RecipeError, SegdistillError, command, lock


def set_up(comparison: Comparison, on_log: OnLog) -> list[Planned]:
    """Make the teacher, try every method that is new, settle the budget, write ``comparison.json``; return the runs.

    Everything that can be wrong with a method shows here, before the first student is trained.

    Of several processes that begin together one does it and the others find it done.

    Raises:
        SegdistillError: What is wrong with a recipe, its data or its shapes, or with the folder.
    """
    alone = make_accelerator(comparison.recipe).is_main_process
    with lock(comparison.folder, wait=True) if alone else contextlib.nullcontext():
        return _set_up(comparison, on_log)


def _set_up(comparison: Comparison, on_log: OnLog) -> list[Planned]:
    known = _read_plan(comparison.folder)
    if known:
        _refuse_other(comparison, known)
    if comparison.teacher is not None:
        for _ in finish_all([comparison.teacher], on_log, keep_going=False):
            pass
    accelerator = make_accelerator(comparison.recipe)
    tried = {row.name for row in known.methods} if known else set()
    asked: list[Any] = []  # teachers that have answered
    for variant in comparison.variants:
        if variant.name in tried:
            continue
        try:
            recipe = for_device(variant.recipe, accelerator.device)
            built = build(recipe, *comparison.own)
            built.distiller.to(accelerator.device)
            if built.teacher is not None:
                built.teacher.to(accelerator.device)
            refuse_silent(recipe, built, accelerator.device)
            if accelerator.is_main_process and recipe.terms and recipe.taught_by not in asked:
                ask_teachers(recipe, built, accelerator.device)
                asked.append(recipe.taught_by)
        except SegdistillError as error:
            raise RecipeError(f"method {variant.name}: {error}") from error
    speeds, seconds = (dict(known.seconds_per_step), known.budget_seconds) if known else ({}, None)
    variants = comparison.variants
    if comparison.budget == "time":
        missing = [variant for variant in variants if variant.name not in speeds]
        speeds |= measure_speeds({variant.name: variant.recipe for variant in missing}, comparison.own)
        slowest = max(speeds[variant.name] for variant in variants) * comparison.recipe.train.iterations
        seconds = seconds or comparison.seconds or slowest
        variants = [_within(variant, seconds / speeds[variant.name]) for variant in variants]
    runs = [
        Planned(f"{variant.name}, seed {seed}", change_recipe(variant.recipe, {"seed": seed}), folder, comparison.own)
        for (variant, seed), folder in zip(in_order(variants, comparison.seeds), comparison.folders, strict=True)
    ]
    if accelerator.is_main_process:
        _write_plan(comparison, known, speeds, seconds)
    return runs


def _refuse_other(comparison: Comparison, known: store.Comparison) -> None:
    """Refuse the folder of a comparison with another recipe or budget; say what differs."""
    there = {"--budget": known.budget, **(known.recipe or {})}
    here = {"--budget": comparison.budget, **comparison.recipe.model_dump(mode="json")}
    if there != here:
        raise RecipeError(
            f"{comparison.folder} holds a comparison with another recipe or budget: {differences(there, here)}. "
            "Give the same again to continue it, or choose another --out."
        )


def _within(variant: Variant, steps: float) -> Variant:
    """The variant with another number of steps; what happens every so many steps happens as often as before."""
    train = variant.recipe.train
    iterations = max(1, int(steps))
    scale = iterations / train.iterations
    changed = {
        key: max(1, round(value * scale))
        for key in ("val_every", "save_every", "grad_norms_every")
        if (value := getattr(train, key)) is not None
    }
    values = train.model_dump() | changed | {"iterations": iterations}
    return variant._replace(recipe=change_recipe(variant.recipe, {"train": values}))


def _place(teacher: TeacherConfig) -> str:
    return teacher.title if teacher.weights is None else str(Path(teacher.weights).absolute())


def _read_plan(folder: Path) -> store.Comparison | None:
    """``comparison.json`` of a folder, None if there is none.

    Raises:
        RunError: If it is not one of ours.
    """
    return read_comparison(folder) if (folder / store.COMPARISON).is_file() else None


def _write_plan(
    comparison: Comparison, known: store.Comparison | None, speeds: Mapping[str, float], seconds: float | None
) -> None:
    """Write down what belongs together; rows and seeds of an earlier plan of the same folder stay."""
    rows = {row.name: row for row in known.methods} if known else {}
    for variant in comparison.variants:
        earlier = rows[variant.name].runs if variant.name in rows else []
        runs = [f"{variant.name}/{seed}" for seed in comparison.seeds]
        rows[variant.name] = MethodRecord(
            name=variant.name,
            method=variant.method,
            settings=variant.settings,
            runs=list(dict.fromkeys([*earlier, *runs])),
        )
    given = None
    if comparison.own.teacher is None:
        given = " and ".join(_place(teacher) for teacher in comparison.recipe.taught_by.values()) or None
    content = store.Comparison(
        folder=comparison.folder,
        format=FORMAT,
        name=comparison.recipe.name,
        command=command(),
        budget=comparison.budget,
        budget_seconds=seconds,
        seconds_per_step=dict(speeds),
        against=comparison.against,
        teacher="teacher" if comparison.teacher is not None else given,
        methods=list(rows.values()),
        recipe=comparison.recipe.model_dump(mode="json"),
    )
    store.write_record(comparison.folder / store.COMPARISON, content)
