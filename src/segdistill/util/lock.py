"""Folders that one process at a time works in."""

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def lock(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Claim a folder among the processes that see it; yield whether the claim succeeded.

    The operating system drops the claim when the process ends, however it ends. A file ``.lock`` may stay in the
    folder and means nothing by itself.

    Args:
        folder: Created if need be.
        wait: Until whoever has it lets it go; then the claim always succeeds.
    """
    from filelock import FileLock, Timeout  # here, so that errors and names cost nothing but the standard library

    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(FileLock(folder / ".lock", timeout=-1 if wait else 0))
        except Timeout:
            claimed = False
        else:
            claimed = True
        yield claimed
