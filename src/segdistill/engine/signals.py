"""A polite stop: the first SIGINT or SIGTERM lets the step end and the state be saved."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from segdistill.util import Stopped

__all__ = ["StopSignal", "Stopped"]


class StopSignal:
    """While entered, remembers SIGINT and SIGTERM; a second one acts at once, as without us.

    Attributes:
        received: Number of the first signal, or 0.
    """

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignal":
        if threading.current_thread() is threading.main_thread():  # Python allows handlers nowhere else
            for signum in (signal.SIGINT, signal.SIGTERM):
                self._before[signum] = signal.signal(signum, self._remember)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _remember(self, signum: int, _frame: FrameType | None) -> None:
        self.received = signum
        self._restore()

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
