"""Is one method better than another? Differences by seed, and an interval. No torch here: reports read it."""

import math
from collections.abc import Mapping
from statistics import mean, stdev
from typing import NamedTuple

from segdistill.util import ArgumentError


class Paired(NamedTuple):
    """Differences between two methods at equal seeds.

    Attributes:
        mean: Mean difference, in the unit of the scores.
        std: Sample standard deviation of the differences; None for one seed.
        low: Lower end of the confidence interval of the mean; None for one seed.
        high: Upper end.
        n: Number of seeds that both have.
        confidence: Of the interval.
        by_seed: The differences.
    """

    mean: float
    std: float | None
    low: float | None
    high: float | None
    n: int
    confidence: float
    by_seed: dict[int, float]

    @property
    def decided(self) -> bool:
        """True if the interval excludes 0. One seed decides nothing."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def paired(scores: Mapping[int, float], others: Mapping[int, float], *, confidence: float = 0.95) -> Paired | None:
    """Difference of two methods over the seeds that both have, with Student's t interval.

    Runs of one seed share initialisation and data order, so part of the chance is common to both and cancels in
    their difference. The interval assumes that the differences are normal, which a few seeds cannot show, and it
    speaks about seeds alone: another choice of test images is a chance of its own.

    Args:
        scores: Score of one method by seed.
        others: Score of the other.
        confidence: Of the interval, between 0 and 1.

    Returns:
        ``scores - others``; None if they share no seed.

    Example:
        >>> difference = paired({0: 0.52, 1: 0.55, 2: 0.53}, {0: 0.50, 1: 0.52, 2: 0.52})
        >>> round(difference.mean, 4), round(difference.low, 4), round(difference.high, 4), difference.decided
        (0.02, -0.0048, 0.0448, False)
    """
    by_seed = {seed: scores[seed] - others[seed] for seed in sorted(scores.keys() & others.keys())}
    if not by_seed:
        return None
    middle, n = mean(by_seed.values()), len(by_seed)
    if n == 1:
        return Paired(middle, None, None, None, n, confidence, by_seed)
    std = stdev(by_seed.values())
    half = t_quantile(confidence, n - 1) * std / math.sqrt(n)
    return Paired(middle, std, middle - half, middle + half, n, confidence, by_seed)


def t_quantile(confidence: float, dof: int) -> float:
    """The t that Student's distribution stays within, on both sides, with probability ``confidence``.

    Args:
        confidence: Between 0 and 1.
        dof: Degrees of freedom, at least 1.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> round(t_quantile(0.95, 2), 4)
        4.3027
    """
    from scipy.special import stdtrit  # what `scipy.stats.t.ppf` calls, at a tenth of the time of the import

    if not 0 < confidence < 1:
        raise ArgumentError(f"`confidence` must be between 0 and 1; got {confidence}.")
    if dof < 1:
        raise ArgumentError(f"`dof` must be at least 1; got {dof}.")
    return float(stdtrit(dof, (1 + confidence) / 2))
