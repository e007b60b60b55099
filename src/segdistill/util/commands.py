"""How the work at hand was asked for: the line that was typed, or the Python call in words."""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from os import PathLike
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")

_COMMAND: ContextVar[str] = ContextVar("command", default="")


def command() -> str:
    """What was typed or called; empty if nobody said."""
    return _COMMAND.get()


@contextlib.contextmanager
def said(words: str) -> Iterator[None]:
    """While entered, this is what was asked for, unless it is known already: the outermost call counts.

    >>> with said("segdistill demo"), said("sd.train('demo')"):
    ...     command()
    'segdistill demo'
    """
    token = _COMMAND.set(_COMMAND.get() or words)
    try:
        yield
    finally:
        _COMMAND.reset(token)


def verb(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """A public function that is a command too: its call in words is what was asked for."""

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with said(_in_words(function, *args, **kwargs)):
            return function(*args, **kwargs)

    return call


def _in_words(function: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """``sd.train('demo', overrides=['seed=1'])``: what was given; of objects that text cannot give back, the kind."""
    try:
        given = inspect.signature(function).bind(*args, **kwargs).arguments
    except TypeError:  # the call itself will say what is wrong
        given = {}
    shown = [_word(value) if index == 0 else f"{key}={_word(value)}" for index, (key, value) in enumerate(given.items())
             if not inspect.isroutine(value)]  # fmt: skip
    return f"sd.{function.__name__}({', '.join(shown)})"


def _word(value: Any) -> str:
    if isinstance(value, PathLike):
        return repr(str(value))
    if value is None or isinstance(value, (str, int, float, list, tuple, dict)):
        return repr(value)
    name = getattr(value, "name", None)
    return f"<{type(value).__name__}{f' {name}' if isinstance(name, str) else ''}>"
