import json

import pytest

from segdistill.reports import caveats, headline, make_table, summarise, to_json, to_markdown
from segdistill.reports.findings.gap import LEAST_LEAD, share_of_gap


def test_a_share_of_a_lead():
    assert share_of_gap(0.08, [0.50], 0.70) == (0.4, "")
    assert share_of_gap(-0.02, [0.49, 0.51], 0.70) == (-0.1, "")


@pytest.mark.parametrize(
    ("alone", "teacher", "reason"),
    [
        ([0.50], 0.50, "its teacher's 50.00 is not ahead of the student alone"),
        ([0.50], 0.40, "its teacher's 40.00 is not ahead of the student alone"),
        ([0.50], 0.504, "its teacher's 50.40 is only 0.40 points ahead of the student alone, less than 1 point"),
        (
            [0.45, 0.55],
            0.56,
            "its teacher's 56.00 is only 6.00 points ahead of the student alone, less than the 7.07 by which its "
            "seeds differ",
        ),
    ],
)
def test_no_share_of_a_lead_that_is_noise(alone, teacher, reason):
    assert share_of_gap(0.02, alone, teacher) == (None, reason)


def test_a_lead_as_large_as_the_least_has_shares():
    assert share_of_gap(0.005, [0.5], 0.5 + 1.0001 * LEAST_LEAD)[0] == pytest.approx(0.5, abs=1e-3)


def test_a_share_of_hundreds_of_per_cent_is_not_told(make_run):
    """As a new user met it: gap closed 501.8."""
    close = {"name": "t", "miou": 0.504}
    runs = [make_run(f"alone-{s}", miou=0.50, seed=s, gallery=0) for s in range(2)]
    runs += [make_run(f"kd-{s}", "distilled", 0.52, seed=s, gallery=0, teacher=close) for s in range(2)]
    rows = summarise(runs)
    reason = "its teacher's 50.40 is only 0.40 points ahead of the student alone, less than 1 point"
    assert rows[1].gap_closed is None
    assert "gap closed %" not in make_table(rows).header
    assert headline(rows).endswith(f"over 2 seeds); {reason}.")
    assert f"No share of the gap is told for kd: {reason}." in caveats(rows)
    assert f"No share of the gap is told for kd: {reason}." in to_markdown(rows)
    assert json.loads(to_json(rows))["rows"][1]["gap_reason"] == reason
