"""The first screen in words: did it help, what did it cost, where does it fail."""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import NamedTuple

from segdistill.metrics import Paired
from segdistill.reports.findings.classes import class_table
from segdistill.reports.findings.confusions import confusions
from segdistill.reports.findings.ranking import alone_of, main_rows
from segdistill.reports.findings.row import Row
from segdistill.reports.findings.units import duration, percent, points

LATENCY_NOISE = 0.05
"""Medians of one network differ by so much from one moment to the next."""


class Answer(NamedTuple):
    """A question, its answer in a few words, and what supports it."""

    question: str
    verdict: str
    lines: list[str]


def answers(rows: Sequence[Row]) -> list[Answer]:
    """Answers about the row that matters most: the best distilled one, else the student alone, else the teacher.

    Of questions that the runs cannot answer there is none.
    """
    main = main_rows(rows)
    if not main:
        return []
    row = rows[main[-1]]
    base = alone_of(rows, row)
    alone = None if base is None else rows[base]
    teacher = next((other for other in rows if other.kind == "teacher"), None)
    found = (_help(row), _cost(row, alone, teacher), _failures(rows, row, alone))
    return [answer for answer in found if answer is not None]


def _help(row: Row) -> Answer | None:
    if row.miou is None:
        return None
    if row.gain is None:
        return Answer("How good is it?", f"{percent(row.miou)} % mIoU", [f"{row.name}, {_seeds(len(row.runs))}"])
    pair = row.vs_alone
    change = f"{points(pair.mean if pair else row.gain)} points"
    if pair is None or pair.low is None:
        verdict = f"Undecided: {change}"
    elif pair.decided:
        verdict = f"{'Yes' if pair.mean > 0 else 'No'}: {change}"
    else:
        verdict = f"Within noise: {change}"
    lines = [f"{row.name}: {percent(row.miou)} % mIoU; student alone: {percent(row.alone_miou)} %"]
    if pair is not None:
        lines.append(f"Against the student alone {interval(pair)}")
    if row.vs_other is not None:
        lines.append(f"Against {row.against} {points(row.vs_other.mean)} points, {interval(row.vs_other)}")
    return Answer("Did it help?", verdict, lines)


def interval(pair: Paired) -> str:
    """The interval of a paired difference in words."""
    if pair.low is None or pair.high is None:
        return "at one seed, which decides nothing"
    return f"{100 * pair.confidence:.0f} % interval {points(pair.low)} to {points(pair.high)}, {_seeds(pair.n)}"


def _cost(row: Row, alone: Row | None, teacher: Row | None) -> Answer | None:
    lines, verdict = [], ""
    if row.seconds is not None:
        verdict = f"{duration(row.seconds)} of training"
        if alone is not None and alone.seconds:
            verdict = f"{row.seconds / alone.seconds:.2g} × the training time"
            lines.append(f"Training: {duration(row.seconds)}, alone {duration(alone.seconds)}")
    if row.peak_memory_mb is not None:
        base = alone.peak_memory_mb if alone else None
        lines.append(f"Peak memory: {row.peak_memory_mb:,.0f} MB" + (f", alone {base:,.0f} MB" if base else ""))
    if row.ms_per_image is not None:
        verdict = verdict or f"{row.ms_per_image:.1f} ms an image"
        lines.append(f"In use: {row.ms_per_image:.1f} ms an image, {_millions(row.params)}{_beside(row, alone)}")
        if teacher is not None and teacher is not row and teacher.ms_per_image:
            lines.append(f"Teacher: {teacher.ms_per_image:.1f} ms an image, {_millions(teacher.params)}")
    return Answer("What did it cost?", verdict, lines) if verdict else None


def _beside(row: Row, alone: Row | None) -> str:
    """What the latency of the student alone says beside that of the distilled one, which is the same network."""
    if alone is None or alone.ms_per_image is None or row.ms_per_image is None:
        return ""
    text = f"; student alone {alone.ms_per_image:.1f} ms"
    if row.params != alone.params:
        return f"{text}, {_millions(alone.params)}"
    apart = abs(row.ms_per_image - alone.ms_per_image)
    noise = max(LATENCY_NOISE * max(row.ms_per_image, alone.ms_per_image), _latency_spread(row), _latency_spread(alone))
    if apart <= noise:
        return f"{text}: distillation changes nothing here"
    return f"{text}: both run the same network, so the difference is the machine's"


def _latency_spread(row: Row) -> float:
    """Standard deviation over the seeds, milliseconds."""
    known = [ms for run in row.runs if (ms := run.result.ms_per_image) is not None]
    return stdev(known) if len(known) > 1 else 0.0


def _failures(rows: Sequence[Row], row: Row, alone: Row | None) -> Answer | None:
    table = class_table(rows)
    known = _known(table, rows.index(row))
    if not known:
        return None
    lowest = sorted(known, key=lambda name: known[name])[:3]
    average = mean(known.values())
    below = sum(value < average / 2 for value in known.values())
    lines = [f"Lowest IoU: {', '.join(f'{name} {percent(known[name], 0)} %' for name in lowest)}"]
    if below:
        lines.append(f"{below} of {len(known)} classes reach less than half the mean")
    if alone is not None:
        before = _known(table, rows.index(alone))
        change = {name: 100 * (known[name] - before[name]) for name in known if name in before}
        lost = [name for name in sorted(change, key=lambda name: change[name])[:3] if change[name] < 0]
        text = ", ".join(f"{name} {change[name]:+.1f}" for name in lost)
        lines.append(f"Lost most against the student alone: {text}" if lost else "No class lost on average")
    for truth, predicted, share, _ in confusions(row)[:1]:
        lines.append(f"Largest confusion: {percent(share, 0)} % of {truth} is taken for {predicted}")
    return Answer("Where does it fail?", f"{lowest[0]}, {percent(known[lowest[0]], 0)} % IoU", lines)


def _known(table: Mapping[str, Sequence[float | None]], index: int) -> dict[str, float]:
    """What is known of one row."""
    return {name: value for name, values in table.items() if (value := values[index]) is not None}


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


def _millions(params: float | None) -> str:
    return "size not known" if params is None else f"{params / 1e6:.2f} M parameters"
