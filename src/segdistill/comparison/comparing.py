"""The verb: plan, set up, do all runs, conclude."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from segdistill import store
from segdistill.comparison.conclusion import conclude
from segdistill.comparison.execution import OnLog, finish_all, forget_failures, is_over
from segdistill.comparison.planning import Comparison, Planned, plan
from segdistill.comparison.setup import set_up
from segdistill.comparison.workers import run_workers
from segdistill.losses import METHODS
from segdistill.networks import is_place
from segdistill.recipe import Recipe
from segdistill.reports import Row, plain_rows
from segdistill.util import ArgumentError, RecipeError, as_path, as_texts, verb


class Compared(NamedTuple):
    """A comparison whose runs are over.

    Attributes:
        folder: Where runs, tables and ``report.html`` lie.
        rows: Of its table; empty with ``runs_only``.
    """

    folder: Path
    rows: list[Row]

    def frame(self) -> list[dict[str, Any]]:
        """A row a method, seeds averaged: ``name``, ``miou``, ``miou_std``, ``vs_alone``, ``seconds``, ..."""
        return plain_rows(self.rows)


@verb
def compare(
    recipe: str | Path | Recipe,
    methods: Sequence[str],
    seeds: int | Sequence[int] = 3,
    *,
    overrides: Sequence[str] = (),
    vary: Mapping[str, Sequence[Any]] | Sequence[str] = (),
    student: str | None = None,
    teacher: str | Path | None = None,
    teacher_overrides: Sequence[str] = (),
    budget: str = "iterations",
    seconds: float | None = None,
    against: str | None = None,
    jobs: int = 1,
    retry: bool = False,
    runs_only: bool = False,
    out: str | Path | None = None,
    announce: Callable[[str], None] | None = None,
    on_log: OnLog | None = None,
    on_done: Callable[[Planned, int, int], None] | None = None,
) -> Compared:
    """Compare methods over seeds and settings on one teacher: which helps, by how much, at what cost.

    What is done is not repeated: the same call continues what was stopped, and more methods or seeds only add runs.

    Args:
        recipe: What all runs share: a name, a YAML file, or a loaded recipe.
        methods: Names of ``METHODS`` or of the recipe's ``methods``; losses joined by ``+``. ``none`` is added.
        seeds: How many, counted from 0, or which.
        overrides: ``["data.root=FOLDER"]``, on the recipe.
        vary: A row for each value: ``{"terms.af_dcd.groups": [4, 8]}``.
        student: Place of a function that builds a network of yours, ``module:function``, called anew for every run.
            Default: the recipe's ``model``.
        teacher: A trained run or weights file, a recipe to train it by, or the place of a function that builds one of
            yours. Default: the recipe's ``teacher.weights``.
        teacher_overrides: On the teacher's recipe.
        budget: ``iterations``: equal steps; ``time``: equal seconds.
        seconds: Training seconds of a run, with the budget ``time``. Default: those of the slowest method.
        against: Row that differences are also taken to, beside ``none``. Default: ``kd`` where it is compared.
        jobs: Processes at a time; GPUs are dealt out, cores shared.
        retry: Do runs again that failed.
        runs_only: Write neither tables nor report.
        out: Folder. Default: ``runs/compare/<recipe>``.
        announce: Called once with a sentence that says how many trainings there are, before any begins.
        on_log: Called with the run and every record of it; not for those of other processes.
        on_done: Called with every run that is over, runs over and runs in all.

    Raises:
        SegdistillError: What is wrong with a method, the recipe, the data or the folder, before any student is trained.
        Stopped: SIGINT or SIGTERM came; everything is saved, and the same call continues.

    Example:
        ``sd.compare("demo", ["kd", "af_dcd"], seeds=3, teacher="demo_teacher").frame()`` gives the table.
    """
    if not as_texts("methods", methods, '["kd", "af_dcd"]'):
        raise RecipeError(f"give --methods, names by commas. Known: {', '.join(METHODS)}.")
    if not isinstance(jobs, int) or jobs < 1 or (jobs > 1 and int(os.environ.get("WORLD_SIZE", "1")) > 1):
        raise ArgumentError(f"`jobs` must be a whole number, at least 1, and 1 under torchrun; got {jobs!r}.")
    if teacher is not None and not isinstance(teacher, (str, Path)):
        raise ArgumentError(
            f"`teacher` must be a run folder, a weights file or a recipe; got {type(teacher).__name__}."
        )
    if student is not None and not is_place(student):
        raise ArgumentError(
            f"`student` must be a place, module:function, since every run builds it anew; got {student!r}."
        )
    name = recipe.name if isinstance(recipe, Recipe) else as_path("recipe", recipe).stem
    folder = Path("runs/compare") / name if out is None else as_path("out", out)
    planned = plan(
        recipe, as_texts("overrides", overrides, '["seed=1"]'), methods=methods, seeds=_seeds(seeds), folder=folder,
        vary=vary, student=student, teacher=None if teacher is None else str(teacher),
        teacher_overrides=as_texts("teacher_overrides", teacher_overrides, '["seed=1"]'),
        budget=budget, seconds=seconds, against=against,
    )  # fmt: skip
    if announce is not None:
        announce(in_words(planned))
    show = on_log or (lambda run, record: None)
    runs = set_up(planned, show)
    if retry:
        forget_failures(runs)
    told: set[Path] = set()

    def tell(run: Planned) -> None:
        if on_done is not None and run.folder not in told:
            told.add(run.folder)
            on_done(run, len(told), len(runs))

    if jobs > 1:
        run_workers(runs, jobs, folder, tell)
    for run in finish_all(runs, show):
        tell(run)
    speaks = os.environ.get("RANK", "0") == "0"
    return Compared(folder, conclude(folder, planned.own) if speaks and not runs_only else [])


def in_words(comparison: Comparison) -> str:
    """How many trainings a comparison consists of, and how many of them are over."""
    folders = comparison.folders
    over = sum(is_over(folder) for folder in folders)
    rows, seeds = len(comparison.variants), len(comparison.seeds)
    text = f"{_count(len(folders), 'training')}: {_count(rows, 'row')} x {_count(seeds, 'seed')}"
    if over:
        text += f", {over} of them over already"
    if comparison.teacher is not None and not store.is_complete(comparison.teacher.folder):
        text += "; before them one of the teacher"
    return f"{text}."


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    if isinstance(seeds, int) and not isinstance(seeds, bool) and seeds > 0:
        return list(range(seeds))
    if isinstance(seeds, (list, tuple, range)) and all(isinstance(seed, int) for seed in seeds):
        return list(seeds)
    raise RecipeError(f"`seeds` must be a number above 0 or a list of seeds; got {seeds!r}.")
