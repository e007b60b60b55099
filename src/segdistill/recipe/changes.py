"""Where two recipes differ, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

MOST_NAMED = 5


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The keys in which two recipes, as plain values, differ, with both values.

    >>> differences({"optim": {"lr": 0.02}, "seed": 1}, {"optim": {"lr": 0.01}, "seed": 1})
    '`optim.lr` is 0.02 there and 0.01 here'
    """
    found = [f"`{key}` is {_shown(one)} there and {_shown(other)} here" for key, one, other in _walk(there, here, "")]
    more = len(found) - MOST_NAMED
    return "; ".join(found[:MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")


_MISSING: Any = object()


def _walk(there: Any, here: Any, prefix: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in dict.fromkeys([*there, *here]):
            inner = f"{prefix}.{key}" if prefix else str(key)
            yield from _walk(there.get(key, _MISSING), here.get(key, _MISSING), inner)
    elif there != here:
        yield prefix, there, here


def _shown(value: Any) -> str:
    if value is _MISSING:
        return "not given"
    return "null" if value is None else repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:60]}..."
