from segdistill.reports import summarise
from segdistill.reports.figures.charts import COLORS, looks, thin


def test_each_row_has_its_own_look(make_run):
    rows = summarise([make_run(f"m{k}", "distilled", 0.5 + k / 100) for k in range(16)])
    styles = looks(rows)
    assert (
        len({(look.color, look.dash) for look in styles}) == len({(look.color, look.symbol) for look in styles}) == 16
    )
    assert [look.main for look in styles] == [True] + [False] * 15
    assert styles[0].color == COLORS["distilled"]


def test_long_curves_are_thinned_without_moving_the_mean():
    points = [(step, float(step % 7)) for step in range(7, 7007)]
    short = thin(points)
    assert len(short) <= 200
    assert abs(sum(y for _, y in short) / len(short) - 3) < 0.02
    assert short[-1][0] == 7006
