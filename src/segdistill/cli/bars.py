"""Progress, on standard error."""

import time
from typing import TYPE_CHECKING, Any

from segdistill.cli.console import SPEAKS, err

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress

    from segdistill.comparison import Planned


def progress_bar() -> "Progress":
    """A bar with counts, times and a note, on stderr."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
        console=err,
        disable=not SPEAKS,
    )


def show_record(bar: "Progress", task: Any, record: dict[str, Any]) -> None:
    """Show a record of the run; without a terminal, as a line."""
    if "grad_norms" in record:
        return
    if "val" in record:
        note = f"val mIoU {100 * record['val']['miou']:.2f}"
    else:
        parts = " ".join(f"{name} {value:.3g}" for name, value in record["parts"].items())
        note = f"{parts} lr {record['lr']:.2g} {record.get('images_per_s', 0):.0f} img/s"
    bar.start_task(task)
    bar.update(task, completed=record["step"], note=note)
    if not err.is_terminal:
        err.print(
            f"{bar.tasks[task].description}: step {record['step']}/{bar.tasks[task].total:.0f} {note}",
            soft_wrap=True,
        )


def show_runs(bar: "Progress") -> "Callable[[Planned, dict[str, Any]], None]":
    """A function that shows the records of runs, one after the other, as one task each."""
    tasks: dict[str, Any] = {}

    def show(run: "Planned", record: dict[str, Any]) -> None:
        if run.title not in tasks:
            for done in tasks.values():
                bar.update(done, visible=False)
            tasks[run.title] = bar.add_task(run.title, total=run.recipe.train.iterations, note="")
        show_record(bar, tasks[run.title], record)

    return show


def show_counts(bar: "Progress") -> "Callable[[str, int, int], None]":
    """A function that shows how far each part is read: its name, files done, files in all."""
    tasks: dict[str, Any] = {}

    def show(name: str, done: int, total: int) -> None:
        if name not in tasks:
            tasks[name] = bar.add_task(f"reading {name}", total=total, note="")
        bar.update(tasks[name], completed=done)

    return show


def show_speed(bar: "Progress", words: str) -> "Callable[[int, int], None]":
    """A function that shows how many images are done, of how many, and how many a second."""
    begun = 0.0
    task: Any = None

    def show(done: int, total: int) -> None:
        nonlocal begun, task
        if task is None:
            begun, task = time.perf_counter(), bar.add_task(words, total=total, note="")
        speed = done / max(time.perf_counter() - begun, 1e-9)
        bar.update(task, completed=done, total=total, note=f"{speed:.3g} img/s" if done else "")

    return show
