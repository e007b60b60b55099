from tests.reports.tables.cases import row

from segdistill.metrics import paired
from segdistill.reports import Entry, make_table


def texts(rows, part="all"):
    """Names of the columns, and what stands in the lines."""
    table = make_table(rows, part)
    return table.header, [[entry.full for entry in line] for line in table.lines]


def test_entries_as_text(compared):
    header, lines = texts(compared)
    assert header == [
        "run", "mIoU %", "boundary IoU %", "boundary F %", "vs alone", "vs cwd", "gap closed %", "steps", "seconds",
        "images/s", "peak MB", "ms/image", "params M", "seeds",
    ]  # fmt: skip
    assert lines[0] == [
        "kd", "59.17 ± 1.04", "30.00", "45.00", "+8.17 [+7.45, +8.88]", "+1.83 [-0.06, +3.73]", "43.0", "300", "63",
        "40.0", "1234", "6.2", "0.62", "0",
    ]  # fmt: skip
    assert lines[1] == ["mgd", *["-"] * 12, "0, 2 failed"]
    assert lines[2][:3] == ["none", "51.00", "-"]


def test_columns_without_a_value_are_left_out(compared):
    header, lines = texts(compared[2:])
    assert (header, lines) == (["run", "mIoU %", "seeds"], [["none", "51.00", "0"]])
    assert texts([]) == ([], [])


def test_scores_and_cost_apart(compared):
    scores, above = texts(compared, "scores")
    cost, below = texts(compared, "cost")
    assert scores == ["run", *texts(compared)[0][1:7], "seeds"]
    assert cost == ["run", *texts(compared)[0][7:13]]
    assert (above[0][1], below[0][1]) == ("59.17 ± 1.04", "300")


def test_one_seed_has_a_difference_without_an_interval():
    _, lines = texts([row(miou=0.5, vs_alone=paired({0: 0.5}, {0: 0.52}))])
    assert lines[0][2] == "-2.00"


def test_a_row_called_alone_to_compare_with_has_a_column_of_its_own():
    pair = paired({0: 0.5}, {0: 0.4})
    header, _ = texts([row(miou=0.5, vs_alone=pair, vs_other=pair, against="alone")])
    assert header == ["run", "mIoU %", "vs alone", "vs alone", "seeds"]


def test_a_deviation_of_zero_is_shown():
    assert texts([row(miou=0.5, miou_std=0.0)])[1][0][1] == "50.00 ± 0.00"


def test_entries_keep_the_number_beside_its_text(compared):
    table = make_table(compared)
    line = dict(zip(table.header, table.lines[0], strict=True))
    assert line["run"] == Entry("kd", "kd")
    assert line["mIoU %"] == Entry(100 * 0.59166, "59.17 ± 1.04")
    assert line["vs alone"] == Entry(100 * compared[0].vs_alone.mean, "+8.17", "[+7.45, +8.88]")
    assert line["params M"].value == 0.62
    assert line["seeds"].value == 0
    assert [entry.value for entry in table.lines[1][1:-1]] == [None] * 12
