"""Lists and errors as messages show them."""

from collections.abc import Iterable, Sequence


def shorten(values: Iterable[object], limit: int = 8) -> str:
    """Name the first few values and count the rest.

    >>> shorten(range(10))
    '0, 1, 2, 3, 4, 5, 6, 7 and 2 more'
    """
    listed = [str(value) for value in values]
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more


def quote(names: Iterable[object], limit: int = 8) -> str:
    """As `shorten`, each name as code.

    >>> quote(["road", "sky", "car"], 2)
    '`road`, `sky` and 1 more'
    """
    return shorten((f"`{name}`" for name in names), limit)


def first_line(error: Exception) -> str:
    r"""An error of somebody else's code in one line, to stand in parentheses.

    >>> first_line(ValueError("no such thing.\nAnd more"))
    'ValueError: no such thing'
    """
    return f"{type(error).__name__}: {error}".splitlines()[0].rstrip(" .:")


def ranges(numbers: Sequence[int]) -> str:
    """Write sorted whole numbers as runs.

    >>> ranges([0, 1, 2, 5, 255])
    '0-2, 5, 255'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
