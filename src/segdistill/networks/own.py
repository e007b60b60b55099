"""A network of a user's own code, found by its place: ``module:function``."""

import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

from torch import nn

from segdistill.util import ArgumentError, NetworkError, SegdistillError, nearest

_PLACE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def is_place(text: Any) -> bool:
    """Whether a text is a place, ``module:function``, and not a file or folder that is there.

    >>> is_place("nets:small"), is_place("runs/teacher")
    (True, False)
    """
    return isinstance(text, str) and _PLACE.fullmatch(text) is not None and not Path(text).exists()


def own_network(place: str, num_classes: int, *, role: str) -> nn.Module:
    """Import a module, call its function, and return the network that it builds.

    The module is looked for in the current directory first. Nothing but a user's own word comes here: recipes and
    files name no code.

    Args:
        place: ``module:function``. The function takes nothing, or ``num_classes``.
        num_classes: Of the data.
        role: What messages call it: ``student``.

    Returns:
        A torch module: plain, a `Network` or a `Teacher`.

    Raises:
        ArgumentError: If it is no such place.
        NetworkError: If the function fails or returns something else.

    Example:
        >>> own_network("torch.nn:Identity", 2, role="student")
        Identity()
    """
    function = _find(place, role)
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        parameters = {}  # type: ignore[assignment]
    needed = [name for name, parameter in parameters.items() if _is_needed(parameter)]
    if set(needed) - {"num_classes"}:
        raise ArgumentError(
            f"`{role}` must be a function without arguments, or with `num_classes`; {place} needs {', '.join(needed)}."
        )
    try:
        network = function(**({"num_classes": num_classes} if "num_classes" in parameters else {}))
    except SegdistillError:
        raise
    except Exception as error:  # a user's code may raise anything
        raise NetworkError(f"`{role}`: {place} failed with {type(error).__name__}: {error}") from error
    if not isinstance(network, nn.Module):
        raise NetworkError(f"`{role}`: {place} must return a torch module; got {type(network).__name__}.")
    return network


def _find(place: str, role: str) -> Any:
    if _PLACE.fullmatch(place) is None:
        raise ArgumentError(f"`{role}` must be a place, module:function, for example nets:small; got {place!r}.")
    name, _, function = place.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(name)
    except Exception as error:  # as above
        missing = isinstance(error, ModuleNotFoundError) and error.name in (name, name.partition(".")[0])
        why = "is in no file here and is not installed" if missing else f"cannot be imported: {error}"
        raise ArgumentError(f"`{role}`: the module {name} {why}. The current directory is {here}.") from error
    if not callable(getattr(module, function, None)):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ArgumentError(f"`{role}`: {name} must have a function {function!r}. {nearest(function, known)}")
    return getattr(module, function)


def _is_needed(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind not in (
        parameter.VAR_POSITIONAL,
        parameter.VAR_KEYWORD,
    )
