from segdistill.reports.findings.units import duration, percent, points


def test_units():
    assert (percent(None), percent(0.123456, 1), points(-0.0012)) == ("-", "12.3", "-0.12")
    assert (duration(None), duration(89.4), duration(5399), duration(5400)) == ("-", "89 s", "90.0 min", "1.5 h")
