"""What the command line shows: progress bars and tables."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.progress import Progress

    from segdistill.comparison import Planned
    from segdistill.data import Fault
    from segdistill.experiment import Checkup, Profile
    from segdistill.recipe import Recipe
    from segdistill.reports import Row

SPEAKS = os.environ.get("RANK", "0") == "0"  # under torchrun one process speaks; errors come from any
out = Console(quiet=not SPEAKS)
err = Console(stderr=True)


def escape(text: str) -> str:
    """Text from outside, with nothing in it that rich would take for markup."""
    return text.replace("[", r"\[")


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


def percent(value: float | None) -> str:
    """A share in [0, 1] as a percentage."""
    return "-" if value is None else f"{100 * value:.2f}"


def print_scores(result: dict[str, Any]) -> None:
    """IoU and boundary scores of each class, their means, and the protocol they stand under."""
    score = result["score"]
    edges = score.get("boundary")
    table = Table("class", "IoU %", *(("boundary IoU %", "boundary F %") if edges else ()))
    for name, iou in score["per_class_iou"].items():
        more = (percent(edges["per_class_iou"][name]), percent(edges["per_class_f"][name])) if edges else ()
        table.add_row(escape(name), percent(iou), *more)
    out.print(table)
    text = f"mIoU {percent(score['miou'])} %, pixel accuracy {percent(score['pixel_accuracy'])} %"
    if edges:
        text += f", boundary IoU {percent(edges['iou'])} %, boundary F {percent(edges['f'])} %"
    out.print(text, highlight=False)
    out.print(f"protocol: {result['protocol']}", highlight=False, soft_wrap=True)
    if edges:
        out.print(f"boundary: {edges['rule']}", highlight=False, soft_wrap=True)


def print_result(result: dict[str, Any], run: Path) -> None:
    """What a run ended with."""
    if result["score"] is not None:
        print_scores(result)
    if result["teacher"] is not None:
        out.print(
            f"teacher ({result['teacher']['name']}): mIoU {percent(result['teacher']['miou'])} %",
            highlight=False,
        )
    out.print(f"run: {run}", highlight=False, soft_wrap=True)


def print_summary(rows: "Sequence[Row]") -> None:
    """The table of several runs, as two: what came out, and what it cost."""
    from segdistill.reports import make_table, to_text

    for part in ("scores", "cost"):
        out.print(to_text(make_table(rows, part), out.width), markup=False, highlight=False, soft_wrap=True)
        out.print()


def print_notes(rows: "Sequence[Row]") -> None:
    """What the table says in a sentence, and what to know before believing it."""
    from segdistill.reports import caveats, headline

    out.print(escape(headline(rows)), highlight=False, soft_wrap=True)
    for note in caveats(rows):
        out.print(f"- {escape(note)}", highlight=False, soft_wrap=True)


def print_profile(measured: "Profile") -> None:
    """Time, share and memory of every part of a training step."""
    header = ("stage", "forward ms", "backward ms", "share %", "peak MiB")
    table = Table(*(Column(name, justify="right" if position else "left") for position, name in enumerate(header)))
    for stage in measured.stages:
        backward = "-" if stage.backward_ms is None else f"{stage.backward_ms:.2f}"
        memory = f"{stage.peak_bytes / 2**20:.1f}"
        table.add_row(escape(stage.name), f"{stage.forward_ms:.2f}", backward, f"{100 * stage.share:.1f}", memory)
    out.print(table)
    out.print(
        f"step {measured.step_ms:.2f} ms, its parts one by one {measured.split_ms:.2f} ms; "
        f"peak {measured.peak_bytes / 2**20:.1f} MiB beyond weights and optimizer state",
        highlight=False,
        soft_wrap=True,
    )
    out.print(
        f"{', '.join([measured.device, measured.precision, *measured.options])}, {measured.batch_size} images a step, "
        f"medians over {measured.steps} steps",
        highlight=False,
        soft_wrap=True,
    )


def print_room(needed: int, free: int) -> None:
    """What a cache takes, before it is written."""
    out.print(f"to write: {needed / 1e9:.2f} GB; free: {free / 1e9:.2f} GB", highlight=False)


def print_faults(faults: "Sequence[Fault]") -> None:
    """What is wrong with files, a line each."""
    for fault in faults:
        text = f"{fault.path} {fault.problem}. {fault.remedy}"
        out.print(f"[bold red]problem:[/] {escape(text)}", highlight=False, soft_wrap=True)


def print_checkup(checkup: "Checkup", recipe: "Recipe") -> None:
    """What the doctor found."""
    for split, scan in checkup.splits.items():
        sizes = ", ".join(f"{h}x{w} ({n})" for (h, w), n in list(scan.image_sizes.items())[:4])
        out.print(f"{split}: {scan.num_samples} images, {len(scan.faults)} faulty; sizes {sizes}", highlight=False)
        table = Table("class", "pixels", "share %")
        total = max(1, int(scan.histogram.sum()))
        for name, pixels in zip(checkup.class_names, scan.histogram.tolist(), strict=True):
            table.add_row(escape(name), f"{pixels:,}", f"{100 * pixels / total:.2f}")
        out.print(table)
        if scan.missing_classes:
            out.print(f"no pixel of: {', '.join(scan.missing_classes)}", highlight=False)
    for name, student, teacher in checkup.shapes:
        out.print(f"{name}: student {student}" + (f", teacher {teacher}" if teacher else ""), highlight=False)
    if checkup.shapes:
        out.print(
            f"memory: weights, gradients and optimizer {checkup.weight_bytes / 2**20:.0f} MiB, "
            f"kept for the backward pass {checkup.activation_bytes / 2**20:.0f} MiB a micro-batch (float32)",
            highlight=False,
        )
    for problem in checkup.problems:
        out.print(f"[bold red]problem:[/] {escape(problem)}", highlight=False, soft_wrap=True)
    if not checkup.problems:
        out.print(f"{recipe.name}: nothing wrong found")
