"""What a table says, in sentences: the outcome, and what to know before believing it."""

from collections.abc import Sequence

from segdistill.metrics import Paired, paired
from segdistill.reports.findings.gap import untold_shares
from segdistill.reports.findings.parts import silence
from segdistill.reports.findings.ranking import best_distilled
from segdistill.reports.findings.row import Row
from segdistill.reports.findings.units import listing, percent, points


def headline(rows: Sequence[Row]) -> str:
    """The outcome in one sentence, whichever it is.

    A gain or a loss is claimed only if the interval of the paired difference excludes zero. One seed decides nothing.
    """
    row = best_distilled(rows)
    scored = [row for row in rows if row.miou is not None]
    if row is None:
        if not scored:
            return "No run was scored: the recipes name no validation or test split."
        best = max(scored, key=lambda row: row.miou or 0.0)
        lead = f"Of {len(scored)} rows, {best.name} scores best:" if len(scored) > 1 else f"{best.name} reaches"
        return f"{lead} {percent(best.miou)} mIoU."
    rivals = sum(other.kind == "distilled" and other.miou is not None for other in rows)
    method = f"the best of {rivals} methods, {row.name}," if rivals > 1 else row.method or "distillation"
    score, alone, pair = percent(row.miou), percent(row.alone_miou), row.vs_alone
    difference = _difference(row, pair)
    if pair is None or not pair.decided:
        shared = 0 if pair is None else pair.n
        doubt = {0: "Undecided, no seed in common", 1: "Undecided at one seed"}.get(shared, "Within noise")
        return f"{doubt}: {method} scores {score} mIoU and the student alone {alone} ({difference})."
    method = method[0].upper() + method[1:]
    if pair.mean < 0:
        return f"{method} did not help: the student scores {score} mIoU with it and {alone} without ({difference})."
    text = f"{method} lifts the student from {alone} to {score} mIoU ({difference})"
    if row.gap_closed is not None:
        share = f"{percent(row.gap_closed, 0)} % of the gap to the teacher's {percent(row.teacher_miou)}"
        return f"{text}, closing {share}."
    return f"{text}; {row.gap_reason}." if row.gap_reason else f"{text}."


def _difference(row: Row, pair: Paired | None) -> str:
    if pair is None or pair.low is None or pair.high is None:
        return f"{points(pair.mean if pair else row.gain or 0.0)} points"
    interval = f"{points(pair.low)} to {points(pair.high)}"
    return f"{points(pair.mean)} points, {100 * pair.confidence:.0f} % interval {interval} over {pair.n} seeds"


def caveats(rows: Sequence[Row]) -> list[str]:
    """What a reader must know before believing the table."""
    notes = [
        f"{row.name}: {len(row.failed)} of {len(row.runs) + len(row.failed)} runs failed: {row.failed[0]}"
        for row in rows
        if row.failed
    ]
    notes += [
        f"{row.name}: {note}" for row in rows for note in dict.fromkeys(n for run in row.runs for n in run.result.notes)
    ]
    notes += silence([row for row in rows if row.kind == "distilled"])
    if len({row.protocol for row in rows if row.miou is not None}) > 1:
        notes.append("The rows were scored under different protocols: compare only rows of the same protocol.")
    distilled = [row for row in rows if row.kind == "distilled" and row.miou is not None]
    pairs = {row.name: row.vs_alone for row in distilled if row.vs_alone is not None}
    once = [name for name, pair in pairs.items() if pair.n == 1]
    if once:
        which = "" if len(once) == len(distilled) else f" of {listing(once)}"
        notes.append(f"One seed{which}: a small difference may be chance. Run more seeds before you rely on it.")
    noise = [name for name, pair in pairs.items() if pair.n > 1 and not pair.decided]
    if noise:
        notes.append(f"Within noise of the student alone: {listing(noise)}. The interval of the difference includes 0.")
    notes += _leader(rows, distilled)
    notes += untold_shares(rows)
    intervals = sum(pair.n > 1 for pair in pairs.values())
    if intervals > 1:
        notes.append(
            f"{intervals} methods are compared, each at 95 %: about one such interval in twenty excludes the true "
            "difference by chance, and the best of many looks better than it is."
        )
    if intervals:
        notes.append("Intervals cover the spread between seeds, not other images, data sets or settings.")
    students = [row for row in rows if row.kind != "teacher" and row.runs]
    if distilled and len({row.seeds for row in students}) > 1:
        notes.append("Not all rows have the same seeds: differences are taken over the seeds that both have.")
    budgets = {run.result.iterations for row in students for run in row.runs}
    if distilled and len(budgets) > 1:
        notes.append("The students were trained for different numbers of steps.")
    return notes


def _leader(rows: Sequence[Row], distilled: Sequence[Row]) -> list[str]:
    """Methods that the best one is not shown to beat."""
    best = best_distilled(rows)
    if best is None or len(best.runs) < 2:
        return []
    rivals = [row for row in distilled if row is not best and row.protocol == best.protocol]
    close = []
    for row in rivals:
        pair = paired(best.miou_by_seed, row.miou_by_seed)
        if pair is None or not pair.decided:
            close.append(row.name)
    return [f"{best.name} is not shown to be better than {listing(close)}."] if close else []
