import json

import numpy as np
import pytest
from tests.store.fakes import NAMES, make_run

from segdistill.reports import summarise
from segdistill.reports.figures import classes as figures_classes
from segdistill.reports.figures.confusion import confusion_figure
from segdistill.reports.findings.confusions import confusion, confusions


def test_confusions_are_shares_of_the_true_class(rows):
    row = rows[1]
    names, matrix = confusion(row)
    assert names == NAMES
    assert matrix[2][3] == sum(run.confusion[2][3] for run in row.runs)
    drawn = confusion_figure(row)["data"][0]
    assert drawn["x"] == drawn["y"][::-1] == NAMES
    assert [sum(line) for line in drawn["z"]] == pytest.approx([100] * len(NAMES), rel=1e-3)
    mistakes = confusions(row)
    truth, predicted, share, _ = mistakes[0]
    line = matrix[names.index(truth)]
    assert share == pytest.approx(line[names.index(predicted)] / sum(line))
    assert share == max(m[2] for m in mistakes)
    assert sum(m[3] for m in mistakes) == pytest.approx(1)


def test_of_many_classes_the_most_confused_are_drawn(tmp_path):
    names = [f"c{k}" for k in range(60)]
    run = make_run(tmp_path / "run", "none", "student", 0.4, 0, names, 0)
    matrix = (1000 * np.eye(60)).astype(int)
    matrix[7, 51] = 4000
    (run / "confusion.json").write_text(json.dumps({"matrix": matrix.tolist()}))
    row = summarise([run])[0]
    drawn = confusion_figure(row)["data"][0]
    assert len(drawn["x"]) == figures_classes.MOST_CLASSES
    assert {"c7", "c51"} <= set(drawn["x"])
    assert confusions(row) == [("c7", "c51", 0.8, 1.0)]
