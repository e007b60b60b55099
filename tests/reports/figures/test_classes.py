import numpy as np
import pytest
from tests.store.fakes import METHODS

from segdistill.reports import summarise
from segdistill.reports.figures import classes as figures_classes
from segdistill.reports.findings.classes import class_table


def test_classes(three_runs):
    rows = summarise(three_runs)
    table = class_table(rows)
    assert table["sign"] == [None, None, None]
    assert table["sky"][0] == rows[0].runs[0].result.score.per_class_iou["sky"]
    markers = [trace for trace in figures_classes.class_figure(rows)["data"] if trace["mode"] == "markers"]
    assert len(markers) == 3
    assert "sign" not in markers[0]["y"]
    best = dict(zip(markers[2]["y"], markers[2]["x"], strict=True))
    assert list(best.values()) == sorted(best.values(), reverse=True), "the lowest is at the top"


def test_differences_to_the_student_alone(rows):
    drawn = figures_classes.difference_figure(rows)["data"][0]
    assert sorted(drawn["x"]) == sorted(set(METHODS) - {"none"})
    table = class_table(rows)
    names = [row.name for row in rows]
    for line, name in enumerate(drawn["y"]):
        for column, method in enumerate(drawn["x"]):
            gain = 100 * (table[name][names.index(method)] - table[name][names.index("none")])
            assert drawn["z"][line][column] == pytest.approx(gain, rel=1e-3)
    assert -drawn["zmin"] == drawn["zmax"] >= np.abs(drawn["z"]).max()


def test_of_many_classes_those_that_differ_are_drawn(make_run):
    def score(last):
        return {"miou": 0.5, "pixel_accuracy": 0.5, "per_class_iou": {f"c{k}": 0.5 for k in range(99)} | {"c99": last}}

    rows = summarise([make_run("alone", score=score(0.1)), make_run("distilled", "distilled", score=score(0.9))])
    for draw in (figures_classes.class_figure, figures_classes.difference_figure):
        trace = draw(rows)["data"][-1]
        assert len(trace["y"]) == figures_classes.MOST_CLASSES
        assert "c99" in trace["y"]
