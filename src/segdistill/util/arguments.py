"""Arguments of public functions, checked for their kind."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segdistill.util.errors import ArgumentError


def as_path(name: str, value: Any) -> Path:
    """A file or folder.

    >>> as_path("out", "runs/a").name
    'a'
    """
    try:
        return Path(value)
    except TypeError:
        raise ArgumentError(f"`{name}` must be a path; got {value!r}.") from None


def as_texts(name: str, value: Any, example: str) -> Sequence[str]:
    """A list of texts; a single text is refused, since its letters would be taken for the items.

    >>> as_texts("overrides", ["seed=1"], '["seed=1"]')
    ['seed=1']
    """
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return value
    raise ArgumentError(f"`{name}` must be a list of texts, for example {example}; got {value!r}.")
