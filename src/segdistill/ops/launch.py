"""Where Triton's kernels run, and what is said where they do not."""

import functools
import logging
import os
from collections.abc import Callable

import torch

from segdistill.util import first_line

_logger = logging.getLogger(__name__)
_tried: dict[tuple[str, str], str | None] = {}  # by op and device: what happened


def interpreted() -> bool:
    """Whether Triton's kernels run in its interpreter, on tensors of the CPU."""
    return os.environ.get("TRITON_INTERPRET", "0") == "1"


def why_not_launched(op: str, device: torch.device, launch: Callable[[], object]) -> str | None:
    """What kept a tiny launch from running, tried once a process, op and device; None where nothing did.

    Triton compiles its launcher when it first runs, for which it needs a C compiler and Python's headers.

    Args:
        op: Whose kernel it is.
        device: That it is launched on.
        launch: Launches the kernel.
    """
    if torch.compiler.is_compiling():
        return None
    key = op, str(device)
    if key not in _tried:
        try:
            launch()
            _tried[key] = None
        except Exception as error:  # a compiler fails in many ways
            _tried[key] = f"Triton cannot launch a kernel ({first_line(error)})"
    return _tried[key]


@functools.cache
def warn_slow(what: str, obstacle: str) -> None:
    """Warn, once, of a slower form that is taken in the place of a kernel."""
    _logger.warning(
        "%s: %s. Triton needs a C compiler and Python's headers: install gcc and python3-dev.", what, obstacle
    )
