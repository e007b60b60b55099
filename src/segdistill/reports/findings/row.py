"""A row of a report: the runs of one method over their seeds, and what they amount to."""

from dataclasses import dataclass
from statistics import mean
from typing import NamedTuple

from segdistill.metrics import Paired
from segdistill.store import Kind, Run

KIND_NAMES: dict[Kind, str] = {"teacher": "teacher", "student": "student alone", "distilled": "distilled"}
"""In the order of a table."""


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
        gap_closed: gain / (teacher - alone); None unless all are known and the teacher leads by enough.
        gap_reason: Why it is None although all are known; empty otherwise.
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
    gap_reason: str = ""
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


def row_label(row: Row) -> str:
    """Name and kind of a row, as plain text."""
    kind = KIND_NAMES[row.kind]
    return row.name if row.name == kind else f"{row.name} ({kind})"
