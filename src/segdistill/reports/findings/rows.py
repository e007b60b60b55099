"""Runs to rows: one row a method, seeds averaged, differences paired by seed, the share of the teacher's gap closed."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

from segdistill.metrics import paired
from segdistill.reports.findings.gap import share_of_gap
from segdistill.reports.findings.ranking import rival
from segdistill.reports.findings.row import KIND_NAMES, Failure, Row
from segdistill.store import Run, read_runs

_ORDER = list(KIND_NAMES)


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
        method=" + ".join(term.title or term.loss or name for name, term in first.terms.items()),
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
    teacher = _mean(taught.miou for run in row.runs if (taught := run.result.teacher) and taught.miou is not None)
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
    closed, reason = share_of_gap(row.gain, at_equal_seeds or [*alone_scores.values()], teacher)
    return replace(row, gap_closed=closed, gap_reason=reason)


def _errors(failed: Sequence[Failure], name: str) -> tuple[str, ...]:
    return tuple(failure.error for failure in failed if failure.name == name)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None
