"""Runs to rows: one row a method, seeds averaged, differences paired by seed, the share of the teacher's gap closed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from segdistill.metrics import Paired, gap_closed, paired
from segdistill.store import Kind, Run, read_runs

KIND_NAMES: dict[Kind, str] = {"teacher": "teacher", "student": "student alone", "distilled": "distilled"}
TERM_NAMES = {
    "acam": "ACAM",
    "af_dcd": "Af-DCD",
    "at": "AT",
    "cirkd": "CIRKD",
    "cwd": "CWD",
    "dist": "DIST",
    "dsd": "DSD",
    "fitnet": "FitNet",
    "ifvd": "IFVD",
    "kd": "KD",
    "maskd": "MasKD",
    "mgd": "MGD",
    "skd": "SKD",
    "skd_adversarial": "SKD adversarial",
}

_ORDER = list(KIND_NAMES)


class Failure(NamedTuple):
    """A run that could not be finished: the row it belongs to, and why."""

    name: str
    kind: Kind
    error: str


@dataclass(frozen=True)
class Row:
    """One line of the table: the runs of one name, network and protocol, over their seeds.

    Attributes:
        name: Of the recipe.
        kind: ``"teacher"``, ``"student"`` (alone) or ``"distilled"``.
        model: Name of the trained network.
        method: The terms of a distillation, for example ``"KD + Af-DCD"``; empty for the others.
        runs: One per seed; empty if all failed.
        failed: Why, of each run that failed.
        protocol: How the score was measured; None without a score.
        miou: Mean over seeds, in [0, 1]; None without a score.
        miou_std: Sample standard deviation over seeds; None for one seed.
        boundary_iou: Mean over seeds of the IoU along borders, in [0, 1].
        boundary_f: Mean over seeds of the F-score of borders, in [0, 1].
        alone_miou: Score of the same network trained alone, under the same protocol, if it is among the runs;
            of several, the best. Mean over the seeds that both have, or over all if they share none: the mean over
            others would let the choice of seeds pass for an effect of the method.
        vs_alone: Difference to it at equal seeds; None if it is not there or shares no seed.
        against: Name of the method that `vs_other` is the difference to; None without one.
        vs_other: Difference to it at equal seeds.
        teacher_miou: Score of the teacher that taught it, or of the only teacher among the runs.
        gap_closed: gain / (teacher - alone); None unless all are known and the teacher leads.
        params: Number of parameters.
        ms_per_image: Mean latency of one image, milliseconds.
        steps: Mean number of training steps.
        seconds: Mean wall-clock time of training, validation left out.
        images_per_s: Mean speed of training.
        peak_memory_mb: Largest memory of training.
    """

    name: str
    kind: Kind
    model: str = ""
    method: str = ""
    runs: tuple[Run, ...] = ()
    failed: tuple[str, ...] = ()
    protocol: str | None = None
    miou: float | None = None
    miou_std: float | None = None
    boundary_iou: float | None = None
    boundary_f: float | None = None
    alone_miou: float | None = None
    vs_alone: Paired | None = None
    against: str | None = None
    vs_other: Paired | None = None
    teacher_miou: float | None = None
    gap_closed: float | None = None
    params: float | None = None
    ms_per_image: float | None = None
    steps: float | None = None
    seconds: float | None = None
    images_per_s: float | None = None
    peak_memory_mb: float | None = None

    @property
    def gain(self) -> float | None:
        """Score minus that of the student alone, at the seeds that both have; None if one of them is not known."""
        if self.vs_alone is not None:
            return self.vs_alone.mean
        return None if self.miou is None or self.alone_miou is None else self.miou - self.alone_miou

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the runs."""
        return tuple(run.result.seed for run in self.runs)

    @property
    def miou_by_seed(self) -> dict[int, float]:
        """Score of each seed that has one; of several runs of one seed, the mean."""
        scores: dict[int, list[float]] = {}
        for run in self.runs:
            if run.result.score:
                scores.setdefault(run.result.seed, []).append(run.result.score.miou)
        return {seed: mean(values) for seed, values in scores.items()}


def summarise(runs: Sequence[Path], *, against: str | None = None) -> list[Row]:
    """Read run folders and make the rows of a table: teachers, students alone, distilled students.

    Args:
        runs: Complete run folders. Runs of equal recipe name, network and protocol are seeds of one row.
        against: Name of a method that differences are also taken to.

    Raises:
        RunError: If a folder is not a complete run.
    """
    return make_rows(read_runs(runs), against=against)


def make_rows(runs: Sequence[Run], *, against: str | None = None, failed: Sequence[Failure] = ()) -> list[Row]:
    """As `summarise`, from runs that are read.

    Args:
        runs: The runs.
        against: Name of a method that differences are also taken to.
        failed: Runs that could not be finished. A method all of whose runs failed has a row without scores.
    """
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        result = run.result
        groups.setdefault((result.name, result.kind, result.model, str(result.protocol)), []).append(run)
    rows = [_row(group, failed) for group in groups.values()]
    rows = [_compare(row, rows, against) for row in rows]
    known = {row.name for row in rows}
    for failure in failed:
        if failure.name not in known:
            known.add(failure.name)
            rows.append(Row(failure.name, failure.kind, failed=_errors(failed, failure.name)))
    return sorted(rows, key=lambda row: (_ORDER.index(row.kind), -(row.miou or 0.0), row.name))


def _row(group: Sequence[Run], failed: Sequence[Failure]) -> Row:
    """The row of some runs, by itself."""
    runs = tuple(sorted(group, key=lambda run: run.result.seed))
    results = [run.result for run in runs]
    first = results[0]
    scores = [result.score for result in results if result.score]
    borders = [score.boundary for score in scores if score.boundary]
    return Row(
        name=first.name,
        kind=first.kind,
        model=first.model,
        method=" + ".join(_loss(term, options) for term, options in first.terms.items()),
        runs=runs,
        failed=_errors(failed, first.name),
        protocol=first.protocol,
        miou=_mean(score.miou for score in scores),
        miou_std=stdev(score.miou for score in scores) if len(scores) > 1 else None,
        boundary_iou=_mean(border.iou for border in borders),
        boundary_f=_mean(border.f for border in borders),
        params=first.params,
        ms_per_image=_mean(result.ms_per_image for result in results),
        steps=_mean(result.iterations for result in results),
        seconds=_mean(result.seconds for result in results),
        images_per_s=_mean(result.images_per_s for result in results),
        peak_memory_mb=max((mb for result in results if (mb := result.peak_memory_mb) is not None), default=None),
    )


def _compare(row: Row, rows: Sequence[Row], against: str | None) -> Row:
    """A distilled row with its differences to the others; any other row as it is."""
    if row.kind != "distilled":
        return row
    peers = [other for other in rows if other.protocol == row.protocol and other.miou is not None]
    alone = rival(row, peers)
    others = [peer for peer in peers if peer is not row and peer is not alone]
    other = next((peer for peer in others if (peer.name, peer.model) == (against, row.model)), None)
    teachers = [peer.miou for peer in peers if peer.kind == "teacher"]
    teacher = _mean(run.result.teacher.miou for run in row.runs if run.result.teacher)
    if teacher is None and len(teachers) == 1:
        teacher = teachers[0]
    scores, alone_scores = row.miou_by_seed, alone.miou_by_seed if alone else {}
    at_equal_seeds = [score for seed, score in alone_scores.items() if seed in scores]
    alone_miou = _mean(at_equal_seeds or alone_scores.values())
    row = replace(
        row,
        alone_miou=alone_miou,
        vs_alone=paired(scores, alone_scores),
        against=other.name if other else None,
        vs_other=paired(scores, other.miou_by_seed) if other else None,
        teacher_miou=teacher,
    )
    if row.gain is None or alone_miou is None or teacher is None:
        return row
    return replace(row, gap_closed=gap_closed(alone_miou + row.gain, alone_miou, teacher))


def rival(row: Row, rows: Sequence[Row]) -> Row | None:
    """The student alone that a distilled row is held against: same network and protocol; of several, the best.

    Of several the best, since a distillation that only makes up for a worse setting has won nothing.
    """
    key = ("student", row.model, row.protocol)
    kin = [other for other in rows if (other.kind, other.model, other.protocol) == key and other.miou is not None]
    return max(kin, key=lambda other: other.miou or 0.0, default=None)


def best_distilled(rows: Sequence[Row]) -> Row | None:
    """The distilled row that a report is about: of those with a student alone to compare with, the best."""
    compared = [row for row in rows if row.kind == "distilled" and row.gain is not None]
    return max(compared, key=lambda row: row.miou or 0.0, default=None)


def _loss(term: str, options: Any) -> str:
    """Name of a term's loss; the term itself may be called otherwise."""
    loss = options.get("loss") if isinstance(options, dict) else None
    return TERM_NAMES.get(loss or term, term) if isinstance(loss or term, str) else term


def _errors(failed: Sequence[Failure], name: str) -> tuple[str, ...]:
    return tuple(failure.error for failure in failed if failure.name == name)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None
