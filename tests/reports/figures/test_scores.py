import json
import math

import pytest

from segdistill.reports import summarise
from segdistill.reports.figures import scores as figures
from segdistill.reports.findings.ranking import main_rows


def test_a_mean_line_in_a_band_of_seeds(make_run):
    rows = summarise([make_run(f"alone-{k}", miou=0.4 + 0.2 * k, seed=k) for k in range(2)])
    band, line = figures.miou_figure(rows)["data"]
    assert line["x"] == [60, 120, 180, 240, 300]
    low, high = band["y"][:5], band["y"][5:][::-1]
    assert all(a < b < c for a, b, c in zip(low, line["y"], high, strict=True))
    assert abs(line["y"][-1] - (low[-1] + high[-1]) / 2) < 0.01
    assert band["meta"] == line["meta"] == 0


def test_seeds_of_unequal_length_are_averaged_where_both_are(make_run):
    runs = [make_run(f"alone-{k}", seed=k) for k in range(2)]
    log = runs[1] / "metrics.jsonl"
    kept = [line for line in log.read_text().splitlines() if json.loads(line)["step"] <= 180]
    log.write_text("\n".join(kept))
    assert figures.miou_figure(summarise(runs))["data"][1]["x"] == [60, 120, 180]


def test_one_seed_is_one_line(three_runs):
    rows = summarise(three_runs)
    assert [line["name"] for line in figures.loss_figure(rows)["data"]] == [
        "teacher", "alone (student alone)", "distilled",
    ]  # fmt: skip
    assert [line["name"] for line in figures.parts_figure(rows[2])["data"]] == ["task", "kd", "af_dcd.mimic"]


def test_scores_over_time_lie_at_the_time_of_their_step(rows):
    alone = next(index for index, row in enumerate(rows) if row.kind == "student")
    line = [trace for trace in figures.miou_figure(rows, "time")["data"] if trace["meta"] == alone][-1]
    assert line["x"] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])  # 30 seconds of 300 steps


def test_gradient_norms(rows):
    best = rows[main_rows(rows)[-1]]
    norms, parts = (
        [trace for trace in figures.parts_figure(best, key)["data"] if "name" in trace]
        for key in ("grad_norms", "parts")
    )
    assert [trace["name"] for trace in norms] == [trace["name"] for trace in parts]
    assert norms[1]["y"][0] == pytest.approx(parts[1]["y"][0] / 10, rel=1e-3)


def test_cost_has_bars_over_seeds(rows):
    every = figures.cost_figure(rows, "seconds")["data"]
    assert len(every) == len(rows)
    students = figures.cost_figure(rows, "seconds", teachers=False)["data"]
    assert len(students) == len(rows) - 1
    row, trace = rows[1], students[0]
    assert trace["y"] == pytest.approx([100 * row.miou], rel=1e-4)
    assert trace["error_y"]["array"] == pytest.approx([100 * row.miou_std], rel=1e-4)
    assert "error_y" not in every[0], "one seed has no spread"


def test_one_validation_is_a_marker(make_run):
    runs = [make_run(f"alone-{k}", miou=0.4 + 0.2 * k, seed=k) for k in range(2)]
    for run in runs:
        lines = (run / "metrics.jsonl").read_text().splitlines()
        kept = [line for line in lines if "val" not in json.loads(line) or json.loads(line)["step"] == 300]
        (run / "metrics.jsonl").write_text("\n".join(kept))
    for over in ("step", "time"):
        (point,) = figures.miou_figure(summarise(runs), over)["data"]
        assert point["mode"] == "markers"
        assert point["marker"]["symbol"] == "circle"
        low, middle, high = (y * (1 - math.exp(-300 / 80)) for y in (40, 50, 60))
        assert point["y"] == pytest.approx([middle], rel=1e-3)
        assert point["error_y"]["array"] == pytest.approx([high - middle], rel=1e-3)
        assert point["error_y"]["arrayminus"] == pytest.approx([middle - low], rel=1e-3)
    (line,) = figures.miou_figure(summarise(runs[:1]))["data"]
    assert "error_y" not in line


def test_no_time_is_negative(make_run):
    """Seconds of 1 and 100: their deviation is larger than their mean."""
    runs = [make_run(f"kd-{k}", "distilled", 0.01 + 0.3 * k, seed=k, seconds=s) for k, s in enumerate((1, 2, 100))]
    rows = summarise([make_run("teacher", "teacher", 0.7, seconds=0.0), *runs])
    for cost in ("seconds", "ms_per_image"):
        for teachers in (True, False):
            drawn = figures.cost_figure(rows, cost, teachers=teachers)
            for axis in ("x", "y"):
                assert drawn["layout"][f"{axis}axis"]["rangemode"] in ("tozero", "nonnegative")
                for trace in drawn["data"]:
                    reach = trace.get(f"error_{axis}", {"arrayminus": [0]})["arrayminus"][0]
                    assert trace[axis][0] - reach >= 0
    (kd,) = figures.cost_figure(rows, "seconds", teachers=False)["data"]
    assert kd["error_x"]["arrayminus"] == kd["x"], "it would reach below 0"
    assert kd["error_x"]["array"][0] > kd["x"][0]
    for over in ("step", "time"):
        assert figures.miou_figure(rows, over)["layout"]["xaxis"]["rangemode"] == "tozero"


def test_a_part_that_is_zero_has_no_line(make_run):
    run = make_run("kd", "distilled", 0.5)
    (run / "metrics.jsonl").write_text(
        '{"step": 1, "parts": {"task": 1, "kd": 0}}\n{"step": 2, "parts": {"task": 1, "kd": 0}}\n'
    )
    (row,) = summarise([run])
    assert [line["name"] for line in figures.parts_figure(row)["data"]] == ["task"]
