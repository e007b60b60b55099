import csv
import io
import json
import re

import pytest

from segdistill.metrics.differences import paired
from segdistill.reports import summarise, table_cells, to_csv, to_json, to_latex, to_markdown
from segdistill.reports.findings.rows import Row
from segdistill.reports.findings.units import duration, percent, points

EVIL = [
    "a|b\n<script>*x*",
    "=HYPERLINK(1)",
    "\u200b=1+1",
    " \t@cmd",
    "\uff1d1",
    "-1",
    '"; "x',
    "\\input{/etc/passwd}",
    "%\n\\bad",
    "[a](b)",
    "$x^2_~#&{}",
]


def row(name="kd", **fields):
    return Row(name, "distilled", model="small", method="KD", **fields)


@pytest.fixture
def compared():
    """A row with every field that a table shows, one of a method that failed, one with hardly anything."""
    alone, kd, cwd = {0: 0.50, 1: 0.51, 2: 0.52}, {0: 0.58, 1: 0.595, 2: 0.60}, {0: 0.57, 1: 0.57, 2: 0.58}
    full = row(
        protocol="val, 100 images", miou=0.59166, miou_std=0.0104, boundary_iou=0.3, boundary_f=0.45, alone_miou=0.51,
        teacher_miou=0.7, gap_closed=0.42982, vs_alone=paired(kd, alone), against="cwd", vs_other=paired(kd, cwd),
        params=620_000, ms_per_image=6.21, steps=300, seconds=63.4, images_per_s=40.04, peak_memory_mb=1234.5,
    )  # fmt: skip
    return [full, row("mgd", failed=("The loss is not finite.", "again")), Row("none", "student", miou=0.51)]


def test_cells(compared):
    header, cells = table_cells(compared)
    assert header == [
        "run", "mIoU %", "boundary IoU %", "boundary F %", "vs alone", "vs cwd", "gap closed %", "steps", "seconds",
        "images/s", "peak MB", "ms/image", "params M", "seeds",
    ]  # fmt: skip
    assert cells[0] == [
        "kd", "59.17 ± 1.04", "30.00", "45.00", "+8.17 [+7.45, +8.88]", "+1.83 [-0.06, +3.73]", "43.0", "300", "63",
        "40.0", "1234", "6.2", "0.62", "0",
    ]  # fmt: skip
    assert cells[1] == ["mgd", *["-"] * 12, "0, 2 failed"]
    assert cells[2][:3] == ["none", "51.00", "-"]


def test_columns_without_a_value_are_left_out(compared):
    header, cells = table_cells(compared[2:])
    assert (header, cells) == (["run", "mIoU %", "seeds"], [["none", "51.00", "0"]])
    assert table_cells([]) == ([], [])


def test_scores_and_cost_apart(compared):
    scores, above = table_cells(compared, "scores")
    cost, below = table_cells(compared, "cost")
    assert scores == ["run", *table_cells(compared)[0][1:7], "seeds"]
    assert cost == ["run", *table_cells(compared)[0][7:13]]
    assert (above[0][1], below[0][1]) == ("59.17 ± 1.04", "300")


def test_one_seed_has_a_difference_without_an_interval():
    _, cells = table_cells([row(miou=0.5, vs_alone=paired({0: 0.5}, {0: 0.52}))])
    assert cells[0][2] == "-2.00"


def test_a_row_called_alone_to_compare_with_has_a_column_of_its_own():
    pair = paired({0: 0.5}, {0: 0.4})
    header, _ = table_cells([row(miou=0.5, vs_alone=pair, vs_other=pair, against="alone")])
    assert header == ["run", "mIoU %", "vs alone", "vs alone", "seeds"]


def test_a_deviation_of_zero_is_shown():
    assert table_cells([row(miou=0.5, miou_std=0.0)])[1][0][1] == "50.00 ± 0.00"


def test_markdown(compared):
    text = to_markdown(compared)
    lines = text.splitlines()
    assert lines[0].startswith("| run | mIoU % | boundary IoU % |")
    assert lines[1] == f"| --- | {' | '.join(['---:'] * 13)} |"
    assert lines[2].startswith("| kd | 59.17 ± 1.04 | 30.00 | 45.00 | +8.17 [+7.45, +8.88] |")
    assert {line.count("|") for line in lines[:5]} == {15}
    assert "Differences: percentage points of mIoU, paired by seed, with the 95 % Student-t interval." in text
    assert text.endswith("\n\nProtocol: val, 100 images\n")


def test_markdown_of_one_seed_says_that_it_decides_nothing(three_runs):
    text = to_markdown(summarise(three_runs))
    assert "| distilled | 58.00 | +8.00 | 40.0 | 300 | 63 | 6.2 | 0.62 | 1 |" in text
    assert "paired by seed; one seed decides nothing." in text


@pytest.mark.parametrize("name", EVIL)
def test_names_cannot_break_out_of_markdown(name):
    lines = to_markdown([row(name, miou=0.5, protocol=name)]).splitlines()
    assert len(re.findall(r"(?<!\\)\|", lines[2])) == 4
    assert not re.search(r"(?<!\\)[<>*_`&~$\[\]]", lines[2] + lines[-1])
    assert len(lines) == 5


def test_latex(compared):
    lines = to_latex(compared).splitlines()
    assert lines[:5] == [
        "% Differences: percentage points of mIoU, paired by seed, with the 95 % Student-t interval.",
        "% Protocol: val, 100 images",
        r"\begin{tabular}{lrrrrrrrrrrrrr}",
        r"\toprule",
        r"run & mIoU \% & boundary IoU \% & boundary F \% & vs alone & vs cwd & gap closed \% & steps & seconds & "
        r"images/s & peak MB & ms/image & params M & seeds \\",
    ]
    assert lines[6].startswith(r"kd & 59.17 $\pm$ 1.04 & 30.00 & 45.00 & $+$8.17 [$+$7.45, $+$8.88] & ")
    assert lines[7] == rf"mgd & {' & '.join(['--'] * 12)} & 0, 2 failed \\"
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]
    assert {line.count(" & ") for line in lines[4:9] if "&" in line} == {13}


@pytest.mark.parametrize("name", EVIL)
def test_names_cannot_break_out_of_latex(name):
    lines = to_latex([row(name, miou=0.5, protocol=name, against=name)]).splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("% Protocol: ")
    body = lines[5].removesuffix(r" \\")
    assert not re.search(r"(?<!\\)[#$%&_]|[\^~|<>\"]", body.replace(" & ", " "))
    assert set(re.findall(r"\\([a-z]+)", body)) <= {
        "textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar", "char",
    }  # fmt: skip
    depth = 0
    for sign in re.sub(r"\\[{}]", "", body):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        assert depth >= 0
    assert depth == 0


def test_a_latex_line_cannot_begin_with_what_a_line_break_takes():
    assert r"\midrule" + "\n{[}5cm{]}" in to_latex([row("[5cm]", miou=0.5)])
    assert r"\midrule" + "\n{*}x" in to_latex([row("*x", miou=0.5)])


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


def test_units():
    assert (percent(None), percent(0.123456, 1), points(-0.0012)) == ("-", "12.3", "-0.12")
    assert (duration(None), duration(89.4), duration(5399), duration(5400)) == ("-", "89 s", "90.0 min", "1.5 h")
