import pytest

from segdistill.util import quote, ranges, shorten


@pytest.mark.parametrize(
    ("values", "limit", "text"),
    [
        ([], 3, ""),
        ("abc", 3, "a, b, c"),
        ("abcd", 3, "a, b, c and 1 more"),
        (iter([1, None, 2.5]), 2, "1, None and 1 more"),
    ],
)
def test_the_first_few_and_how_many_more(values, limit, text):
    assert shorten(values, limit) == text


def test_names_as_code():
    assert quote(["a.b", "c"], 1) == "`a.b` and 1 more"
    assert quote([]) == ""


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([3], "3"), ([3, 4], "3-4"), ([0, 1, 2, 5, 255], "0-2, 5, 255"), ([-1, 0, 2, 4], "-1-0, 2, 4")],
)
def test_numbers_as_runs(numbers, text):
    assert ranges(numbers) == text
