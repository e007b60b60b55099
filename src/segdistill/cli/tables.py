"""What the command line shows when something is done: tables and sentences."""

from typing import TYPE_CHECKING

from rich.table import Column, Table

from segdistill.cli.console import escape, out, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segdistill.data import Fault
    from segdistill.experiment import Checkup, Evaluation, Profile, Tappable, Trained
    from segdistill.measure import StudentCost
    from segdistill.recipe import Recipe
    from segdistill.reports import Row


def percent(value: float | None) -> str:
    """A share in [0, 1] as a percentage."""
    return "-" if value is None else f"{100 * value:.2f}"


def print_scores(scored: "Evaluation") -> None:
    """IoU and boundary scores of each class, their means, and the protocol they stand under."""
    score = scored.score
    edges = score.get("boundary")
    table = Table("class", "IoU %", *(("boundary IoU %", "boundary F %") if edges else ()))
    for row in scored.frame():
        table.add_row(escape(row.pop("class")), *map(percent, row.values()))
    out.print(table)
    text = f"mIoU {percent(score['miou'])} %, pixel accuracy {percent(score['pixel_accuracy'])} %"
    if edges:
        text += f", boundary IoU {percent(edges['iou'])} %, boundary F {percent(edges['f'])} %"
    out.print(text, highlight=False)
    say(f"protocol: {scored.protocol}")
    if edges:
        say(f"boundary: {edges['rule']}")


def print_result(trained: "Trained") -> None:
    """What a run ended with."""
    if trained.evaluation is not None:
        print_scores(trained.evaluation)
    alone = trained.result["teacher"]
    teachers = trained.result["teachers"] or ({} if alone is None else {"teacher": alone})
    for name, teacher in teachers.items():
        title = name if name == "teacher" else f"teacher {name}"
        scored = "features only" if teacher["miou"] is None else f"mIoU {percent(teacher['miou'])} %"
        over = f" over {len(teacher['classes'])} classes" if teacher["classes"] else ""
        out.print(f"{title} ({escape(teacher['name'])}): {scored}{over}", highlight=False)
    say(f"run: {trained.folder}")


def print_names(title: str, described: dict[str, str]) -> None:
    """Names with a description each."""
    columns = Column("name", no_wrap=True), Column("description")
    table = Table(*columns, title=title, show_header=False, title_justify="left", box=None)
    for name, description in described.items():
        table.add_row(escape(name), escape(description))
    out.print(table)


def print_students(students: "Sequence[StudentCost]", cpu: str = "this machine") -> None:
    """What small students cost."""
    from segdistill.measure import STUDENT_CLASSES, STUDENT_SIZE

    columns = (Column(name, justify="right", no_wrap=True) for name in ("M params", "GMAC", "ms"))
    table = Table("small student", *columns)
    for student in students:
        options = [f"{key}={value}" for key, value in student.options.items()]
        numbers = (f"{student.params / 1e6:.2f}", f"{student.macs / 1e9:.2f}", f"{student.ms:.0f}")
        table.add_row(escape(" ".join([f"{student.source}:{student.name}", *options])), *numbers)
    out.print(table)
    height, width = STUDENT_SIZE
    say(f"{STUDENT_CLASSES} classes, an image of {height}x{width}; ms: median on one CPU thread, float32, {cpu}")


def print_layers(shown: "Tappable") -> None:
    """Layers of a network: those that it names, then those worth a name."""
    height, width = shown.size
    columns = (Column(name, justify="right") for name in ("channels", "stride", f"map of {height}x{width}"))
    say(f"{shown.network.role}: {shown.network!r}")
    table = Table(Column("layer", no_wrap=True), *columns)
    for group in (shown.named, shown.found.worth):
        for layer in group:
            rows, across = layer.size(shown.size)
            table.add_row(escape(layer.name), str(layer.channels), str(layer.stride), f"{rows}x{across}")
        table.add_section()
    out.print(table)
    named = [layer.name for layer in shown.named]
    for name, source in shown.found.defaults.items():
        if name not in named:
            say(f"{name}, where a term reads it: {source}")


def print_summary(rows: "Sequence[Row]") -> None:
    """The table of several runs, as two: what came out, and what it cost."""
    from segdistill.reports import make_table, to_text

    for part in ("scores", "cost"):
        out.print(to_text(make_table(rows, part), out.width), markup=False, highlight=False, soft_wrap=True)
        out.print()


def print_notes(rows: "Sequence[Row]") -> None:
    """What the table says in a sentence, and what to know before believing it."""
    from segdistill.reports import caveats, headline

    say(headline(rows))
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
    out.print(escape(measured.advice), highlight=False, soft_wrap=True)


def print_room(needed: int, free: int) -> None:
    """What a cache takes, before it is written."""
    out.print(f"to write: {needed / 1e9:.2f} GB; free: {free / 1e9:.2f} GB", highlight=False)


def print_faults(faults: "Sequence[Fault]") -> None:
    """What is wrong with files, a line each."""
    for fault in faults:
        text = f"{fault.path} {fault.problem}. {fault.remedy}"
        out.print(f"[bold red]problem:[/] {escape(text)}", highlight=False, soft_wrap=True)


def print_checkup(checkup: "Checkup", recipe: "Recipe") -> None:
    """What the doctor found: what must be mended, what may be meant, then the numbers, and the verdict."""
    for problem in checkup.problems:
        out.print(f"[bold red]problem:[/] {escape(problem)}", highlight=False, soft_wrap=True)
    for warning in checkup.warnings:
        out.print(f"[bold yellow]warning:[/] {escape(warning)}", highlight=False, soft_wrap=True)
    for split, scan in checkup.splits.items():
        sizes = ", ".join(f"{h}x{w} ({n})" for (h, w), n in list(scan.image_sizes.items())[:4])
        out.print(f"{split}: {scan.num_samples} images, {len(scan.faults)} faulty; sizes {sizes}", highlight=False)
        total = int(scan.histogram.sum())
        if not total:
            out.print("no pixel of a class could be counted", highlight=False)
            continue
        table = Table("class", "pixels", "share %")
        for name, pixels in zip(checkup.class_names, scan.histogram.tolist(), strict=True):
            table.add_row(escape(name), f"{pixels:,}", f"{100 * pixels / total:.2f}")
        out.print(table)
    for name, student, teacher in checkup.shapes:
        out.print(f"{name}: student {student}" + (f", teacher {teacher}" if teacher else ""), highlight=False)
    if checkup.shapes:
        out.print(
            f"memory: weights, gradients and optimizer {checkup.weight_bytes / 2**20:.0f} MiB, "
            f"kept for the backward pass {checkup.activation_bytes / 2**20:.0f} MiB a micro-batch (float32)",
            highlight=False,
        )
    if checkup.statistics is not None:
        fed = f"channels of {checkup.statistics.num_images} images: {' '.join(checkup.statistics.overrides)}"
        out.print(fed, highlight=False, soft_wrap=True)
    out.print(f"{recipe.name}: {escape(checkup.verdict)}", highlight=False, soft_wrap=True)
