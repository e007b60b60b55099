import dataclasses
import json

import numpy as np
import plotly.graph_objects as go
import pytest
from tests.store.fakes import METHODS, NAMES, make_comparison, make_run

from segdistill.reports import summarise
from segdistill.reports.figures import classes as figures_classes
from segdistill.reports.figures import confusion as figures_confusion
from segdistill.reports.figures import features as figures_analysis
from segdistill.reports.figures import scores as figures
from segdistill.reports.figures.charts import COLORS, looks, main_rows, thin
from segdistill.reports.figures.gallery import make_gallery
from segdistill.reports.page import sections


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return summarise(make_comparison(tmp_path_factory.mktemp("comparison"), seeds=2, pictures=0))


def test_every_figure_is_one_that_plotly_knows(rows):
    charts = [*sections.costs(rows)]
    for section in sections.sections(rows):
        charts += [*section.charts, *section.more]
    assert len(charts) > 12
    for chart in charts:
        for choice in chart.choices:
            figure = json.loads(choice.data)
            assert go.Figure(figure).data
            assert figure["layout"]["height"] == choice.height


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


def test_each_row_has_its_own_look(make_run):
    rows = summarise([make_run(f"m{k}", "distilled", 0.5 + k / 100) for k in range(16)])
    styles = looks(rows)
    assert (
        len({(look.color, look.dash) for look in styles}) == len({(look.color, look.symbol) for look in styles}) == 16
    )
    assert [look.main for look in styles] == [True] + [False] * 15
    assert styles[0].color == COLORS["distilled"]


def test_classes(three_runs):
    rows = summarise(three_runs)
    table = figures_classes.class_table(rows)
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
    table = figures_classes.class_table(rows)
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


def test_confusions_are_shares_of_the_true_class(rows):
    row = rows[1]
    names, matrix = figures_confusion.confusion(row)
    assert names == NAMES
    assert matrix[2][3] == sum(run.confusion[2][3] for run in row.runs)
    drawn = figures_confusion.confusion_figure(row)["data"][0]
    assert drawn["x"] == drawn["y"][::-1] == NAMES
    assert [sum(line) for line in drawn["z"]] == pytest.approx([100] * len(NAMES), rel=1e-3)
    mistakes = figures_confusion.confusions(row)
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
    drawn = figures_confusion.confusion_figure(row)["data"][0]
    assert len(drawn["x"]) == figures_classes.MOST_CLASSES
    assert {"c7", "c51"} <= set(drawn["x"])
    assert figures_confusion.confusions(row) == [("c7", "c51", 0.8, 1.0)]


def test_maps_name_the_frequent_classes_and_draw_every_cell(rows):
    maps, legend = figures_analysis.embedding_figures(rows)
    assert next(label for label, _ in maps.values()) == "teacher"
    assert len(maps) == len(rows)
    assert len({(look.color, look.symbol) for look in legend}) == len(legend)
    for _, figure in maps.values():
        assert sum(len(trace["x"]) for trace in figure["data"]) == 96
    looks_of_many = figures_analysis.class_looks([], np.arange(100))
    assert len({look[1:] for look in looks_of_many.values()}) == len(looks_of_many) == 28


def test_a_foreign_teacher_has_a_map_too(rows):
    students = [row for row in rows if row.kind != "teacher"]
    maps, _ = figures_analysis.embedding_figures(students)
    assert [label for label, _ in maps.values()][0] == "teacher"  # noqa: RUF015
    assert sorted(maps) == [-1, *range(len(students))]


def test_likeness_to_the_teacher(rows):
    boxes = {trace["meta"]: trace for trace in figures_analysis.distance_figure(rows)["data"]}
    distilled = [index for index, row in enumerate(rows) if row.kind == "distilled"]
    assert set(distilled) <= set(boxes)
    assert "teacher" not in [rows[index].kind for index in boxes]
    for box in boxes.values():
        edges = [box[key][0] for key in ("lowerfence", "q1", "median", "q3", "upperfence")]
        assert edges == sorted(edges)
        assert edges[0] >= 0
    lines = figures_analysis.similarity_figure(rows)["data"]
    assert len(lines) == len(rows)
    assert all(sum(line["y"]) == pytest.approx(100, rel=1e-3) for line in lines)


def test_long_curves_are_thinned_without_moving_the_mean():
    points = [(step, float(step % 7)) for step in range(7, 7007)]
    short = thin(points)
    assert len(short) <= 200
    assert abs(sum(y for _, y in short) / len(short) - 3) < 0.02
    assert short[-1][0] == 7006


def test_a_row_without_a_finished_run_is_no_hindrance(rows):
    lost = {"runs": (), "protocol": None, "miou": None, "miou_std": None, "seconds": None, "ms_per_image": None}
    failed = dataclasses.replace(rows[-1], name="diverged", **lost)
    before, after = sections.sections(rows), sections.sections([*rows, failed])
    assert [section.id for section in before] == [section.id for section in after]
    assert main_rows([*rows, failed]) == main_rows(rows)
    assert make_gallery([failed]) == []
    assert len(figures.cost_figure([*rows, failed], "seconds")["data"]) == len(rows)


def test_the_student_alone_is_the_one_with_the_network_of_the_best_row(make_run):
    runs = [
        make_run("alone", miou=0.5),
        make_run("larger", miou=0.52, model="larger"),
        make_run("kd", "distilled", 0.6),
    ]
    rows = summarise(runs)
    assert [rows[index].name for index in main_rows(rows)] == ["alone", "kd"]


def test_nothing_to_draw(make_run):
    run = make_run("alone", score=None, gallery=0)
    for path in run.iterdir():
        if path.name != "result.json":
            path.unlink()
    rows = summarise([run])
    assert sections.costs(rows) == sections.sections(rows) == []
