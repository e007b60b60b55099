"""Numbers and names as text."""

from collections.abc import Sequence


def percent(value: float | None, digits: int = 2) -> str:
    """A share as a number of per cent.

    >>> percent(0.61234), percent(None)
    ('61.23', '-')
    """
    return "-" if value is None else f"{100 * value:.{digits}f}"


def points(value: float) -> str:
    """A difference of shares in percentage points, with its sign.

    >>> points(0.0123), points(-0.5)
    ('+1.23', '-50.00')
    """
    return f"{100 * value:+.2f}"


def duration(seconds: float | None) -> str:
    """Seconds in the unit that suits.

    >>> duration(42.0), duration(754.0), duration(9000.0)
    ('42 s', '12.6 min', '2.5 h')
    """
    if seconds is None:
        return "-"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def listing(names: Sequence[str]) -> str:
    """Names in a sentence.

    >>> listing(["kd"]), listing(["kd", "cwd", "mgd"])
    ('kd', 'kd, cwd and mgd')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
