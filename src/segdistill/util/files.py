"""Files that are written whole or not at all, and folders that one process at a time works in."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: no locks there, so one process a comparison
    fcntl = None  # type: ignore[assignment]


def write_atomic(path: Path, content: bytes) -> None:
    """Replace a file in one step: a reader, or a crash at any moment, sees the old content or the new.

    The folder is created if need be. A killed write may leave one hidden scratch file, which nothing reads and
    the next write replaces. Not for two writers of one path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.tmp")
    try:
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def lock(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Claim a folder among the processes that see it; yield whether the claim succeeded.

    The operating system drops the claim when the process ends, however it ends.

    Args:
        folder: Created if need be.
        wait: For whoever has it; then the claim always succeeds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
