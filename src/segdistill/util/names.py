"""The end of an error message about an unknown name."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which names look like ``name``, or else what there is.

    >>> nearest("af_dcb", ["kd", "af_dcd", "cwd"])
    'Nearest names: af_dcd.'
    """
    choices = sorted(known)
    close = difflib.get_close_matches(name, choices, n=4, cutoff=0.55)
    if close:
        return f"Nearest names: {', '.join(close)}."
    more = ", ..." if len(choices) > 12 else ""
    return f"Known names: {', '.join(choices[:12])}{more}." if choices else "There is nothing to choose from."
