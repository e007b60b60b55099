"""Run folders to rows: one row a method, seeds averaged, the share of the teacher's gap that was closed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from segdistill.metrics.gap import gap_closed
from segdistill.reports.read import Kind, Run, read_runs

KIND_NAMES: dict[Kind, str] = {"teacher": "teacher", "student": "student alone", "distilled": "distilled"}
TERM_NAMES = {"af_dcd": "Af-DCD", "kd": "KD", "cwd": "CWD", "mgd": "MGD", "cirkd": "CIRKD", "dist": "DIST"}

_ORDER = list(KIND_NAMES)


@dataclass(frozen=True)
class Row:
    """One line of the table: the runs of one name, network and protocol, over their seeds.

    Attributes:
        name: Of the recipe.
        kind: ``"teacher"``, ``"student"`` (alone) or ``"distilled"``.
        model: Name of the trained network.
        method: The terms of a distillation, for example ``"KD + Af-DCD"``; empty for the others.
        runs: One per seed.
        protocol: How the score was measured; None without a score.
        miou: Mean over seeds, in [0, 1]; None without a score.
        miou_std: Sample standard deviation over seeds; None for one seed.
        alone_miou: Score of the same network trained alone, under the same protocol, if it is among the runs;
            of several, the best.
        teacher_miou: Score of the teacher that taught it, or of the only teacher among the runs.
        gap_closed: (distilled - alone) / (teacher - alone); None unless all are known and the teacher leads.
        params: Number of parameters.
        ms_per_image: Mean latency of one image, milliseconds.
        seconds: Mean wall-clock time of training.
    """

    name: str
    kind: Kind
    model: str
    method: str
    runs: tuple[Run, ...]
    protocol: str | None
    miou: float | None
    miou_std: float | None
    alone_miou: float | None
    teacher_miou: float | None
    gap_closed: float | None
    params: float | None
    ms_per_image: float | None
    seconds: float | None

    @property
    def gain(self) -> float | None:
        """Score minus that of the student alone; None if one of them is not known."""
        return None if self.miou is None or self.alone_miou is None else self.miou - self.alone_miou


def summarise(runs: Sequence[Path]) -> list[Row]:
    """Read run folders and make the rows of a table: teachers, students alone, distilled students.

    Args:
        runs: Complete run folders. Runs of equal recipe name, network and protocol are seeds of one row.

    Raises:
        RunError: If a folder is not a complete run.
    """
    return make_rows(read_runs(runs))


def make_rows(runs: Sequence[Run]) -> list[Row]:
    """As `summarise`, from runs that are read."""
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        result = run.result
        groups.setdefault((result.name, result.kind, result.model, str(result.protocol)), []).append(run)
    every = list(groups.values())
    rows = [_row(group, every) for group in every]
    return sorted(rows, key=lambda row: (_ORDER.index(row.kind), -(row.miou or 0.0), row.name))


def _row(runs: list[Run], every: list[list[Run]]) -> Row:
    first = runs[0].result
    miou = _miou(runs)
    scores = [run.result.score.miou for run in runs if run.result.score]
    alone = teacher = None
    if first.kind == "distilled":
        peers = [group for group in every if group[0].result.protocol == first.protocol]
        alone = max(filter(None, (_miou(g) for g in peers if _is_alone(g[0], first.model))), default=None)
        teacher = _mean(run.result.teacher.miou for run in runs if run.result.teacher)
        teachers = [group for group in peers if group[0].result.kind == "teacher"]
        if teacher is None and len(teachers) == 1:
            teacher = _miou(teachers[0])
    closed = None
    if miou is not None and alone is not None and teacher is not None:
        closed = gap_closed(miou, alone, teacher)
    return Row(
        name=first.name,
        kind=first.kind,
        model=first.model,
        method=" + ".join(TERM_NAMES.get(term, term) for term in first.terms),
        runs=tuple(sorted(runs, key=lambda run: run.result.seed)),
        protocol=first.protocol,
        miou=miou,
        miou_std=stdev(scores) if len(scores) > 1 else None,
        alone_miou=alone,
        teacher_miou=teacher,
        gap_closed=closed,
        params=first.params,
        ms_per_image=_mean(run.result.ms_per_image for run in runs),
        seconds=_mean(run.result.seconds for run in runs),
    )


def _is_alone(run: Run, model: str) -> bool:
    return run.result.kind == "student" and run.result.model == model


def _miou(runs: Sequence[Run]) -> float | None:
    return _mean(run.result.score.miou for run in runs if run.result.score)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def best_distilled(rows: Sequence[Row]) -> Row | None:
    """The distilled row that a report is about: of those with a student alone to compare with, the best."""
    compared = [row for row in rows if row.kind == "distilled" and row.gain is not None]
    return max(compared, key=lambda row: row.miou or 0.0, default=None)


def headline(rows: Sequence[Row]) -> str:
    """The outcome in one sentence, whichever it is."""
    row = best_distilled(rows)
    scored = [row for row in rows if row.miou is not None]
    if row is None:
        if not scored:
            return "No run was scored: the recipes name no validation or test split."
        best = max(scored, key=lambda row: row.miou or 0.0)
        lead = f"Of {len(scored)} rows, {best.name} scores best:" if len(scored) > 1 else f"{best.name} reaches"
        return f"{lead} {percent(best.miou)} mIoU."
    method, alone, score = row.method or "Distillation", percent(row.alone_miou), percent(row.miou)
    if (row.gain or 0.0) <= 0:
        return f"{method} did not help: the student scores {score} mIoU with it and {alone} without."
    text = f"{method} lifts the student from {alone} to {score} mIoU"
    if row.gap_closed is not None:
        return (
            f"{text}, closing {percent(row.gap_closed, 0)} % of the gap to the teacher's {percent(row.teacher_miou)}."
        )
    if row.teacher_miou is not None:
        return f"{text}; its teacher's {percent(row.teacher_miou)} is not ahead of the student alone."
    return f"{text}."


def caveats(rows: Sequence[Row]) -> list[str]:
    """What a reader must know before believing the table."""
    notes = []
    if len({row.protocol for row in rows if row.miou is not None}) > 1:
        notes.append("The rows were scored under different protocols: compare only rows of the same protocol.")
    row = best_distilled(rows)
    if row is not None:
        alone = [r for r in rows if _is_alone(r.runs[0], row.model) and r.miou == row.alone_miou]
        spread = max((r.miou_std for r in (row, *alone) if r.miou_std is not None), default=None)
        if min(len(r.runs) for r in (row, *alone)) == 1:
            notes.append("One seed: a small difference may be chance. Run more seeds before you rely on it.")
        elif spread is not None and abs(row.gain or 0.0) < spread:
            notes.append("The difference is smaller than the spread between seeds.")
        budgets = {run.result.iterations for r in (row, *alone) for run in r.runs}
        if len(budgets) > 1:
            notes.append("The student alone and the distilled student were trained for different numbers of steps.")
    return notes


def table_cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and cells as text, for a terminal, Markdown or HTML; ``-`` where something is not known."""
    header = ["run", "kind", "mIoU %", "gap closed %", "params M", "ms/image", "seeds", "time"]
    return header, [
        [
            row.name,
            KIND_NAMES[row.kind],
            percent(row.miou) + (f" ± {percent(row.miou_std)}" if row.miou_std is not None else ""),
            percent(row.gap_closed, 1),
            "-" if row.params is None else f"{row.params / 1e6:.2f}",
            "-" if row.ms_per_image is None else f"{row.ms_per_image:.1f}",
            str(len(row.runs)),
            duration(row.seconds),
        ]
        for row in rows
    ]


def to_markdown(rows: Sequence[Row]) -> str:
    """The table in Markdown, with the protocols below it; names are escaped."""
    header, cells = table_cells(rows)
    rule = ["---", "---", *["---:"] * (len(header) - 2)]
    lines = [header, rule, *([_plain(cell) for cell in line] for line in cells)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    protocols = dict.fromkeys(row.protocol for row in rows if row.protocol)
    return "\n".join([table, "", *(f"Protocol: {_plain(text)}" for text in protocols)]).rstrip() + "\n"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no second cell."""
    escaped = "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in text)
    return " ".join(escaped.split())


def percent(value: float | None, digits: int = 2) -> str:
    """A share as a number of per cent.

    >>> percent(0.61234), percent(None)
    ('61.23', '-')
    """
    return "-" if value is None else f"{100 * value:.{digits}f}"


def duration(seconds: float | None) -> str:
    """Seconds in the unit that suits.

    >>> duration(42.0), duration(754.0), duration(9000.0)
    ('42 s', '12.6 min', '2.5 h')
    """
    if seconds is None:
        return "-"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
