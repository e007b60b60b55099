import math
import random
from statistics import NormalDist

import pytest
from scipy import stats

from segdistill.metrics.differences import paired, t_quantile

GOLDEN = {
    (0.95, 1): 12.706204736174659,
    (0.95, 2): 4.302652729749458,
    (0.95, 4): 2.7764451051977908,
    (0.9, 2): 2.9199855803537242,
    (0.99, 9): 3.249835541592117,
    (0.8, 2): 1.8856180831641267,
    (0.999, 200): 3.339835406275543,
}
"""By bisection on the closed form for whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""


@pytest.mark.parametrize(("confidence", "dof"), GOLDEN)
def test_quantiles_are_those_of_the_closed_form(confidence, dof):
    assert t_quantile(confidence, dof) == pytest.approx(GOLDEN[confidence, dof], rel=1e-9)


@pytest.mark.parametrize("dof", [1, 2, 3, 4, 5, 9, 10, 31, 200])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99, 0.999])
def test_quantiles_are_those_of_scipy(dof, confidence):
    assert t_quantile(confidence, dof) == pytest.approx(stats.t.ppf((1 + confidence) / 2, dof), rel=1e-9)


def test_quantiles_of_the_tables():
    """Two-sided 95 %, as printed in any textbook."""
    table = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262, 29: 2.045}
    assert {dof: round(t_quantile(0.95, dof), 3) for dof in table} == table
    assert t_quantile(0.95, 10_000) == pytest.approx(NormalDist().inv_cdf(0.975), rel=1e-3)


def test_the_interval_is_that_of_the_paired_t_test():
    draw = random.Random(0)
    ours = {seed: 0.6 + 0.01 * draw.gauss(0, 1) for seed in range(5)}
    others = {seed: 0.58 + 0.01 * draw.gauss(0, 1) for seed in range(5)}
    found = paired(ours, others)
    tested = stats.ttest_rel(list(ours.values()), list(others.values()))
    low, high = tested.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.decided == (tested.pvalue < 0.05)
    assert (found.n, found.confidence) == (5, 0.95)


def test_chance_that_the_seeds_share_cancels():
    """Seeds that move both methods alike say nothing about their difference; unpaired, they would drown it."""
    others = {0: 0.40, 1: 0.50, 2: 0.60}
    ours = {0: 0.411, 1: 0.510, 2: 0.609}
    found = paired(ours, others)
    assert found.decided
    assert found.mean == pytest.approx(0.01)
    assert found.std == pytest.approx(0.001)
    assert stats.ttest_ind(list(ours.values()), list(others.values())).pvalue > 0.9


def test_only_seeds_that_both_have_count():
    found = paired({0: 0.9, 3: 0.6, 5: 0.7}, {5: 0.5, 3: 0.5, 1: 0.1})
    assert list(found.by_seed) == [3, 5]
    assert list(found.by_seed.values()) == pytest.approx([0.1, 0.2])
    assert found.n == 2


def test_no_seed_in_common():
    assert paired({0: 0.5}, {1: 0.4}) is None
    assert paired({}, {}) is None


def test_one_seed_decides_nothing():
    found = paired({7: 0.9}, {7: 0.1})
    assert (found.std, found.low, found.high, found.n, found.decided) == (None, None, None, 1, False)
    assert found.mean == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("differences", "decided"),
    [((0.02, 0.021, 0.022), True), ((-0.02, -0.021, -0.022), True), ((0.05, -0.03, 0.01), False), ((0, 0, 0), False)],
)
def test_decided_means_that_the_interval_excludes_zero(differences, decided):
    found = paired(dict(enumerate(differences)), dict.fromkeys(range(3), 0.0))
    assert found.decided is decided
    assert decided == (found.low > 0 or found.high < 0)


def test_swapping_the_methods_turns_the_interval_round():
    ours, others = {0: 0.5, 1: 0.52, 2: 0.55}, {0: 0.48, 1: 0.53, 2: 0.51}
    there, back = paired(ours, others), paired(others, ours)
    assert (there.mean, there.low, there.high) == pytest.approx((-back.mean, -back.high, -back.low))


def test_the_interval_covers_the_truth_as_often_as_it_says():
    draw = random.Random(1)
    covered = 0
    for _ in range(2000):
        found = paired({seed: draw.gauss(0.3, 1) for seed in range(3)}, dict.fromkeys(range(3), 0.0), confidence=0.8)
        covered += found.low <= 0.3 <= found.high
    assert covered / 2000 == pytest.approx(0.8, abs=3 * math.sqrt(0.8 * 0.2 / 2000))


@pytest.mark.parametrize(("confidence", "dof"), [(0.0, 3), (1.0, 3), (95, 3), (math.nan, 3), (0.95, 0)])
def test_arguments_out_of_range(confidence, dof):
    with pytest.raises(ValueError, match=r"`(confidence|dof)` must be .*; got"):
        t_quantile(confidence, dof)
