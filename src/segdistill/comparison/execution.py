"""Does the runs of a comparison: each once, whoever asks, whatever happened before."""

import contextlib
import itertools
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list

from segdistill import store
from segdistill.comparison.planning import Own, Planned
from segdistill.experiment import Runner, build, for_device, make_accelerator, refuse_other, run_recipe, switched
from segdistill.recipe import Recipe, change_recipe
from segdistill.store import Failed
from segdistill.util import NotFiniteError, lock

logger = logging.getLogger(__name__)

SPEED_STEPS, SPEED_WARM_UP, SPEED_ROUNDS = 12, 4, 2
POLL_SECONDS = 2.0

OnLog = Callable[[Planned, dict[str, Any]], None]


def finish_all(runs: Sequence[Planned], on_log: OnLog, *, keep_going: bool = True) -> Iterator[Planned]:
    """Do every run that is neither done nor in the hands of another process; yield each when it is done.

    Args:
        runs: In the order in which they are taken.
        on_log: Called with the run and every record of it.
        keep_going: A run whose loss is no longer finite, or that does not fit into memory, is written down as
            failed and the others go on.

    Raises:
        RecipeError: If a folder holds a run with another recipe, whose result would pass for this one's.
    """
    for run in runs:
        refuse_other(run.folder, run.recipe, "Give the same settings again")
    pending = list(runs)
    while pending:
        before = len(pending)
        for run in list(pending):
            if is_over(run.folder) or _take(run, on_log, keep_going):
                pending.remove(run)
                yield run
        if len(pending) == before:
            time.sleep(POLL_SECONDS)  # others work on what is left


def _take(run: Planned, on_log: OnLog, keep_going: bool) -> bool:
    """Do a run if nobody else does it; True if it is over now."""
    accelerator = make_accelerator(run.recipe)
    with lock(run.folder, wait=False) if accelerator.is_main_process else contextlib.nullcontext(False) as claimed:
        answer = [claimed]
        if accelerator.num_processes > 1:
            broadcast_object_list(answer)
        if not answer[0]:
            return False
        if is_over(run.folder):
            return True
        try:
            student, teacher = run.own
            run_recipe(
                run.recipe, run.folder, student=student, teacher=teacher, resume=True,
                on_log=lambda record: on_log(run, record),
            )  # fmt: skip
        except (NotFiniteError, torch.cuda.OutOfMemoryError) as error:
            if not keep_going:
                raise
            with contextlib.suppress(FileNotFoundError):  # several processes may fail at once: one has written it
                store.write_record(run.folder / store.FAILED, Failed(error=str(error).splitlines()[0]))
            logger.warning("%s failed: %s", run.title, error)
            if accelerator.num_processes > 1:
                raise  # the other processes wait for this one: the same command goes on with the next run
    return True


def is_over(folder: Path) -> bool:
    """True of a run that is complete or failed."""
    return store.is_complete(folder) or (folder / store.FAILED).is_file()


def forget_failures(runs: Sequence[Planned]) -> None:
    """Let failed runs be done again, from their last checkpoint."""
    for run in runs:
        (run.folder / store.FAILED).unlink(missing_ok=True)


def measure_speeds(recipes: Mapping[str, Recipe], own: Own) -> dict[str, float]:
    """Median seconds of a training step of every recipe, data loading included; the same in all processes.

    Methods take turns, so that a machine that slows down for a while slows them all. One that diverges before there
    is anything to measure counts as slow as the slowest: its run will say that it diverges.
    """
    laps: dict[str, list[float]] = {name: [] for name in recipes}
    for _, (name, recipe) in itertools.product(range(SPEED_ROUNDS), recipes.items()):
        steps = itertools.pairwise(_seconds_at_steps(recipe, own))
        laps[name] += [after - before for before, after in itertools.islice(steps, SPEED_WARM_UP - 1, None)]
    speeds = {name: statistics.median(values) for name, values in laps.items() if values}
    slowest = max(speeds.values(), default=1.0)
    answer = [{name: speeds.get(name, slowest) for name in recipes}]
    if recipes and make_accelerator(next(iter(recipes.values()))).num_processes > 1:
        broadcast_object_list(answer)
    return answer[0]


def _seconds_at_steps(recipe: Recipe, own: Own) -> list[float]:
    """Seconds since the start of a short training at the end of each of its steps."""
    short = recipe.train.model_dump() | {"iterations": SPEED_STEPS, "log_every": 1, "grad_norms_every": None}
    trial = change_recipe(recipe, {"train": short, "data": recipe.data.model_dump() | {"val_split": None}})
    seconds: list[float] = []
    with tempfile.TemporaryDirectory() as scratch, contextlib.suppress(NotFiniteError):
        accelerator = make_accelerator(trial)
        trial = for_device(trial, accelerator.device)
        with switched(trial, accelerator.device.type):
            runner = Runner(trial, build(trial, *own), Path(scratch), accelerator)
            runner.train(resume=False, on_log=lambda record: seconds.append(record["seconds"]))
    return seconds
