import pytest

from segdistill.util import nearest


@pytest.mark.parametrize(
    ("name", "known", "text"),
    [
        ("af_dcb", ["kd", "af_dcd", "cwd"], "Nearest names: af_dcd."),
        ("zzz", ["b", "a"], "Known names: a, b."),
        ("zzz", [], "There is nothing to choose from."),
        ("zzz", [f"a{i:02}" for i in range(13)], f"Known names: {', '.join(f'a{i:02}' for i in range(12))}, ...."),
    ],
)
def test_what_is_near_or_else_what_there_is(name, known, text):
    assert nearest(name, known) == text


def test_the_nearest_come_first_and_are_few():
    assert nearest("class1", (f"class{i}" for i in range(9))).startswith("Nearest names: class1, ")
    assert nearest("class1", (f"class{i}" for i in range(9))).count("class") == 4
