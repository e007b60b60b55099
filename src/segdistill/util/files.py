"""Files that are written whole or not at all."""

import os
from pathlib import Path


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
