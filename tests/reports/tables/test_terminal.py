import pytest
from tests.reports.tables.cases import EVIL, row

from segdistill.reports import make_table, to_text


def names(text):
    """What stands at the beginning of each line."""
    return [line.split()[0] for line in text.splitlines() if line and not line.startswith((" ", "─"))]


@pytest.mark.parametrize("width", [200, 120, 80, 60, 40, 20])
def test_no_name_number_or_interval_is_broken(compared, width):
    text = to_text(make_table([*compared, row("demo_teacher_of_a_long_name", miou=0.5)]), width)
    assert all(len(line) <= max(width, 45) for line in text.splitlines())
    assert set(names(text)) == {"run", "kd", "mgd", "none", "demo_teacher_of_a_long_name"}
    for whole in ("59.17 ± 1.04", "[+7.45, +8.88]", "0, 2 failed", "boundary", "1234"):
        assert any(whole in line for line in text.splitlines()), whole


def test_at_80_columns_every_line_fits(compared):
    for part in ("scores", "cost"):
        assert max(map(len, to_text(make_table(compared, part), 80).splitlines())) <= 80


def test_a_wide_terminal_has_one_table_of_a_line_each(compared):
    text = to_text(make_table(compared), 200)
    assert text.count("─ ") == 0
    assert len(text.splitlines()) == 2 + len(compared)
    assert "+8.17 [+7.45, +8.88]" in text


def test_an_interval_goes_below_its_number_before_a_column_goes_below_the_table(compared):
    lines = to_text(make_table(compared, "scores"), 90).splitlines()
    line = next(number for number, line in enumerate(lines) if line.startswith("kd"))
    place = lines[line].index("+8.17")
    assert lines[line + 1].index("[+7.45, +8.88]") + len("[+7.45, +8.88]") == place + len("+8.17")


@pytest.mark.parametrize("name", EVIL)
def test_names_can_neither_break_a_line_nor_command_the_terminal(name):
    text = to_text(make_table([row(f"\x1b[31m{name}", miou=0.5)]), 200)
    assert len(text.splitlines()) == 3
    assert all(sign.isprintable() for line in text.splitlines() for sign in line)


def test_nothing_to_show():
    assert to_text(make_table([]), 80) == ""
    assert to_text(make_table([row()])._replace(header=["run"], lines=[]), 80) == "run\n───"
