import dataclasses
import json

import plotly.graph_objects as go
import pytest
from tests.store.fakes import make_comparison

from segdistill.reports import summarise
from segdistill.reports.figures import scores as figures
from segdistill.reports.figures.gallery import make_gallery
from segdistill.reports.findings.ranking import main_rows
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


def test_a_row_without_a_finished_run_is_no_hindrance(rows):
    lost = {"runs": (), "protocol": None, "miou": None, "miou_std": None, "seconds": None, "ms_per_image": None}
    failed = dataclasses.replace(rows[-1], name="diverged", **lost)
    before, after = sections.sections(rows), sections.sections([*rows, failed])
    assert [section.id for section in before] == [section.id for section in after]
    assert main_rows([*rows, failed]) == main_rows(rows)
    assert make_gallery([failed]) == []
    assert len(figures.cost_figure([*rows, failed], "seconds")["data"]) == len(rows)


def test_nothing_to_draw(make_run):
    run = make_run("alone", score=None, gallery=0)
    for path in run.iterdir():
        if path.name != "result.json":
            path.unlink()
    rows = summarise([run])
    assert sections.costs(rows) == sections.sections(rows) == []
