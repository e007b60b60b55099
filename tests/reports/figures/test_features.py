import numpy as np
import pytest

from segdistill.reports.figures import features as figures
from segdistill.reports.findings.classes import class_label
from segdistill.reports.findings.likeness import PixelMap


def test_maps_name_the_frequent_classes_and_draw_every_pixel(rows):
    maps, legend = figures.embedding_figures(rows)
    assert next(label for label, _ in maps.values()) == "teacher"
    assert len(maps) == len(rows)
    assert len({(look.color, look.symbol) for look in legend}) == len(legend)
    for _, figure in maps.values():
        assert sum(len(trace["x"]) for trace in figure["data"]) == 96
    looks_of_many = figures.class_looks([], np.arange(100))
    assert len({look[1:] for look in looks_of_many.values()}) == len(looks_of_many) == 30


def test_a_foreign_teacher_has_a_map_too(rows):
    students = [row for row in rows if row.kind != "teacher"]
    maps, _ = figures.embedding_figures(students)
    assert [label for label, _ in maps.values()][0] == "teacher"  # noqa: RUF015
    assert sorted(maps) == [-1, *range(len(students))]


def test_likeness_to_the_teacher(rows):
    boxes = {trace["meta"]: trace for trace in figures.distance_figure(rows)["data"]}
    distilled = [index for index, row in enumerate(rows) if row.kind == "distilled"]
    assert set(distilled) <= set(boxes)
    assert "teacher" not in [rows[index].kind for index in boxes]
    for box in boxes.values():
        edges = [box[key][0] for key in ("lowerfence", "q1", "median", "q3", "upperfence")]
        assert edges == sorted(edges)
        assert edges[0] >= 0
    lines = figures.similarity_figure(rows)["data"]
    assert len(lines) == len(rows)
    assert all(sum(line["y"]) == pytest.approx(100, rel=1e-3) for line in lines)


def test_a_class_has_the_colour_of_its_label(rows):
    maps, legend = figures.embedding_figures(rows)
    labels = rows[0].runs[0].result.labels
    colors = {name: "#" + bytes(color).hex() for name, color in zip(labels.names, labels.colors, strict=True)}
    assert {look.name: look.color for look in legend} == colors
    for _, figure in maps.values():
        assert {trace["name"]: trace["marker"]["color"] for trace in figure["data"]}.items() <= colors.items()
        assert all(trace["marker"]["line"] == {"color": figures.OUTLINE, "width": 1} for trace in figure["data"])


def test_rare_classes_share_a_marker_and_keep_their_colours():
    classes = np.r_[np.repeat(np.arange(30), 2), 77, 90]
    styles = figures.class_looks([], classes)
    pixels = PixelMap("kd", np.zeros((62, 2)), classes)
    rare = figures.map_figure(pixels, styles, [])["data"][-1]
    assert (rare["name"], len(rare["x"])) == ("other classes", 2)
    assert rare["marker"]["color"] == [class_label([], 77).color, class_label([], 90).color]
    assert rare["marker"]["symbol"] not in {look.symbol for look in styles.values()}
