from segdistill.reports import figures, summarise


def test_a_mean_line_and_thin_seeds(make_run):
    rows = summarise([make_run(f"alone-{k}", miou=0.4 + 0.2 * k, seed=k) for k in range(2)])
    thin, other, thick = figures.miou_figure(rows).data
    assert (thin.showlegend, other.showlegend, thick.showlegend) == (False, False, None)
    assert list(thick.x) == [60, 120, 180, 240, 300]
    assert abs(thick.y[-1] - (thin.y[-1] + other.y[-1]) / 2) < 0.01
    assert 40 < thick.y[-1] < 60


def test_one_seed_is_one_line(three_runs):
    rows = summarise(three_runs)
    assert [line.name for line in figures.loss_figure(rows).data] == [
        "teacher (teacher)", "alone (student alone)", "distilled (distilled)",
    ]  # fmt: skip
    assert [line.name for line in figures.parts_figure(rows[2]).data] == ["task", "kd", "af_dcd.mimic"]


def test_each_row_has_its_own_look(make_run):
    rows = summarise([make_run(f"m{k}", "distilled", 0.5 + k / 100) for k in range(12)])
    styles = figures.row_styles(rows)
    assert len({tuple(style.values()) for style in styles}) == 12
    assert styles[0]["color"] == figures.PALETTE["distilled"]


def test_classes(three_runs):
    rows = summarise(three_runs)
    table = figures.class_table(rows)
    assert table["sign"] == [None, None, None]
    assert table["sky"][0] == rows[0].runs[0].result.score.per_class_iou["sky"]
    assert len(figures.class_figure(rows).data) == 3


def test_of_many_classes_those_that_differ_are_drawn(make_run):
    def score(last):
        return {"miou": 0.5, "pixel_accuracy": 0.5, "per_class_iou": {f"c{k}": 0.5 for k in range(99)} | {"c99": last}}

    rows = summarise([make_run("alone", score=score(0.1)), make_run("distilled", "distilled", score=score(0.9))])
    bars = figures.class_figure(rows).data[0]
    assert len(bars.x) == figures.MOST_CLASSES
    assert "c99" in bars.x


def test_long_curves_are_thinned_without_moving_the_mean():
    points = [(step, float(step % 7)) for step in range(7, 7007, 1)]
    thin = figures._thin(points)
    assert len(thin) <= 300
    assert abs(sum(y for _, y in thin) / len(thin) - 3) < 0.02
    assert thin[-1][0] == 7006


def test_nothing_to_draw(make_run):
    run = make_run("alone", score=None)
    (run / "metrics.jsonl").unlink()
    rows = summarise([run])
    assert figures.miou_figure(rows) is figures.loss_figure(rows) is None
    assert figures.class_figure(rows) is figures.parts_figure(rows[0]) is None
