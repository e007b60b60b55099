"""The share of the teacher's lead that distillation won, where the lead is large enough to have shares."""

from collections.abc import Sequence
from statistics import mean, stdev

from segdistill.metrics import gap_closed
from segdistill.reports.findings.row import Row
from segdistill.reports.findings.units import listing, percent

LEAST_LEAD = 0.01
"""Of mIoU: the share of a smaller lead is a small number divided by a smaller one."""


def share_of_gap(gain: float, alone: Sequence[float], teacher: float) -> tuple[float | None, str]:
    """The share, or why there is none.

    Args:
        gain: Score of the distilled student minus that of the student alone.
        alone: Scores of the student alone, one a seed.
        teacher: Score of the teacher.

    Returns:
        The share and an empty text; or None and the rest of a sentence, where the teacher's lead is below one point
        or below the standard deviation of the student alone over its seeds.

    Example:
        >>> share_of_gap(0.02, [0.5], 0.6)
        (0.2, '')
        >>> share_of_gap(0.02, [0.5], 0.504)
        (None, "its teacher's 50.40 is only 0.40 points ahead of the student alone, less than 1 point")
    """
    base = mean(alone)
    lead, spread = teacher - base, stdev(alone) if len(alone) > 1 else 0.0
    if lead <= 0:
        return None, f"its teacher's {percent(teacher)} is not ahead of the student alone"
    if lead >= max(LEAST_LEAD, spread):
        return gap_closed(base + gain, base, teacher), ""
    least = "1 point" if spread <= LEAST_LEAD else f"the {percent(spread)} by which its seeds differ"
    ahead = f"its teacher's {percent(teacher)} is only {percent(lead)} points ahead of the student alone"
    return None, f"{ahead}, less than {least}"


def untold_shares(rows: Sequence[Row]) -> list[str]:
    """A sentence for every reason why rows have no share of the gap."""
    return [
        f"No share of the gap is told for {listing([row.name for row in rows if row.gap_reason == reason])}: {reason}."
        for reason in dict.fromkeys(row.gap_reason for row in rows if row.gap_reason)
    ]
