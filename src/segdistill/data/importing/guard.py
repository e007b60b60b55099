"""While an export is read: no file outside it is opened, and what Datumaro says is kept instead of printed."""

import contextlib
import logging
import os
import sys
import warnings
import zoneinfo
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

from segdistill.util import DataError

_CODE: Final = (".py", ".pyc", ".so", ".pyd")
_MOST_NOTES: Final = 20


class _Fence:
    """What may be opened, and what was not."""

    def __init__(self, source: Path) -> None:
        self.source = os.path.realpath(source)
        needed = {sys.prefix, sys.base_prefix, sys.exec_prefix, *zoneinfo.TZPATH}  # pandas asks for the time zone
        self.python = tuple(os.path.realpath(place) for place in needed)
        self.code = tuple(os.path.realpath(place) for place in sys.path if place)
        self.refused: set[str] = set()

    def admits(self, path: str) -> bool:
        real = os.path.realpath(path)
        if _below(real, self.source) or any(_below(real, place) for place in self.python):
            return True
        return real.endswith(_CODE) and any(_below(real, place) for place in self.code)


_FENCE: ContextVar[_Fence | None] = ContextVar("fence", default=None)
_HOOKED: list[bool] = []


@contextlib.contextmanager
def fenced(source: Path) -> Iterator[set[str]]:
    """While entered, this thread opens no file outside ``source``, code of Python aside.

    Paths in an export are not ours: `../../secret.png` as the name of an image would be read otherwise.

    Yields:
        The paths that were refused; it fills up.
    """
    if not _HOOKED:
        sys.addaudithook(_watch)  # stays for good, and looks at nothing while no fence is up
        _HOOKED.append(True)
    fence = _Fence(source)
    token = _FENCE.set(fence)
    try:
        yield fence.refused
    finally:
        _FENCE.reset(token)


@contextlib.contextmanager
def unfenced() -> Iterator[None]:
    """While entered, the fence is down: for files of ours."""
    token = _FENCE.set(None)
    try:
        yield
    finally:
        _FENCE.reset(token)


class _Notes(logging.Filter):
    """Keeps what Datumaro logs on the root logger, each kind of message once."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if "datumaro" not in Path(record.pathname).parts:
            return True
        if record.levelno >= logging.WARNING and len(self.texts) < _MOST_NOTES:
            self.texts.setdefault(str(record.msg), record.getMessage())
        return False


@contextlib.contextmanager
def quiet() -> Iterator[dict[str, str]]:
    """While entered, Datumaro's warnings are not shown.

    Yields:
        The first of each kind; it fills up.
    """
    root, notes, handler = logging.getLogger(), _Notes(), logging.NullHandler()
    root.addFilter(notes)
    root.addHandler(handler)  # without one, `logging.warning` would add one that stays
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield notes.texts
    finally:
        root.removeHandler(handler)
        root.removeFilter(notes)


def refuse_links(source: Path) -> None:
    """Refuse an export with a link that leaves it.

    Raises:
        DataError: It names the first one.
    """
    real = os.path.realpath(source)
    for folder, folders, files in os.walk(source):
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink() and not _below(os.path.realpath(path), real):
                raise DataError(
                    path, f"is a link that leaves `{source}`", "Put the file itself there: nothing outside is read."
                )


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if event != "open":
        return
    fence = _FENCE.get()
    if fence is None or isinstance(args[0], int) or args[0] is None:
        return
    path = os.fsdecode(args[0])
    if not fence.admits(path):
        fence.refused.add(path)
        raise DataError(path, f"lies outside `{fence.source}`", "Nothing outside an export is read.")
