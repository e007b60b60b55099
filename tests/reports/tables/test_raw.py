import csv
import io
import json

import pytest
from tests.reports.tables.cases import EVIL, row

from segdistill.reports import summarise, to_csv, to_json, to_latex, to_markdown


def test_csv_holds_raw_numbers(compared):
    lines = list(csv.DictReader(io.StringIO(to_csv(compared))))
    assert [line["name"] for line in lines] == ["kd", "mgd", "none"]
    full, lost, alone = lines
    assert float(full["miou"]) == 0.59166
    assert float(full["vs_alone_mean"]) == pytest.approx(0.245 / 3)
    assert float(full["vs_alone_low"]) < float(full["vs_alone_mean"]) < float(full["vs_alone_high"])
    assert (full["vs_other_n"], full["against"], full["protocol"]) == ("3", "cwd", "val, 100 images")
    assert (lost["miou"], lost["failed"], lost["vs_alone_mean"]) == ("", "2", "")
    assert (alone["kind"], alone["boundary_iou"], alone["miou_std"]) == ("student", "", "")


def test_csv_has_seeds_and_negative_numbers(make_run):
    runs = [make_run(f"alone-{s}", miou=0.5, seed=s) for s in (3, 5)]
    runs += [make_run(f"kd-{s}", "distilled", 0.4, seed=s) for s in (3, 5)]
    alone, kd = csv.DictReader(io.StringIO(to_csv(summarise(runs))))
    assert alone["seeds"] == kd["seeds"] == "3 5"
    assert float(kd["vs_alone_mean"]) == pytest.approx(-0.1)


@pytest.mark.parametrize("name", EVIL)
def test_names_cannot_be_formulas_of_a_spreadsheet(name):
    text = to_csv([row(name, miou=0.5, protocol=name, against=name)])
    (line,) = csv.DictReader(io.StringIO(text))
    assert len(text.splitlines()) == 2
    for key in ("name", "protocol", "against"):
        assert not line[key].strip().startswith(("=", "+", "-", "@", "\uff1d"))
        assert line[key].isprintable()


def test_json_has_every_seed_and_difference(make_run):
    runs = [make_run(f"alone-{s}", miou=0.5, seed=s) for s in range(3)]
    runs += [make_run(f"kd-{s}", "distilled", 0.55 + 0.01 * s, seed=s) for s in range(3)]
    runs += [make_run("cwd-0", "distilled", 0.6)]
    alone, cwd, kd = json.loads(to_json(summarise(runs, against="kd")))["rows"]
    assert [run["seed"] for run in kd["runs"]] == [0, 1, 2]
    assert [run["miou"] for run in kd["runs"]] == pytest.approx([0.55, 0.56, 0.57])
    pair = kd["vs_alone"]
    assert [each["seed"] for each in pair["differences"]] == [0, 1, 2]
    assert [each["difference"] for each in pair["differences"]] == pytest.approx([0.05, 0.06, 0.07])
    assert pair["low"] < pair["mean"] < pair["high"]
    assert (pair["n"], pair["confidence"], pair["decided"]) == (3, 0.95, True)
    assert (cwd["vs_other"]["n"], cwd["vs_other"]["low"], cwd["vs_other"]["decided"]) == (1, None, False)
    assert kd["protocol"] == "streets val, 100 images, 9 classes, whole image, single scale"
    assert alone["vs_alone"] is None
    assert alone.keys() == kd.keys()


def test_json_tells_failures_word_by_word(compared):
    found = json.loads(to_json(compared))["rows"]
    assert found[1]["failed"] == ["The loss is not finite.", "again"]
    assert found[1]["runs"] == []


def test_nothing_to_show():
    assert json.loads(to_json([])) == {"rows": []}
    for render in (to_markdown, to_latex, to_csv):
        assert isinstance(render([]), str)
