"""Which form of an op computes: its reference, its fused form, or the one that suits."""

import functools
import logging
from typing import Literal, get_args

import torch

from segdistill.ops.checks import check_choice
from segdistill.util import UnavailableError

Impl = Literal["auto", "reference", "fused"]
"""``"reference"``: the definition, in plain PyTorch. ``"fused"``: the same numbers by the form with less work or
memory, or an error that says why it cannot run here; it never falls back. ``"auto"``: ``"fused"`` where it runs and
pays, else ``"reference"``; the log says which, once."""

_logger = logging.getLogger(__name__)


def check_impl(impl: object) -> None:
    """Refuse an unknown name of an implementation."""
    check_choice("impl", impl, get_args(Impl))


def take_fused(op: str, impl: Impl, device: torch.device, *, obstacle: str | None, loss: str | None = None) -> bool:
    """Whether the fused form of an op computes.

    Args:
        op: Its name in sentences.
        impl: What was asked for.
        device: Of the tensors.
        obstacle: Why the fused form cannot run, as a sentence without its full stop; None: nothing is in its way.
        loss: Why it would run but not pay, of which ``"auto"`` alone takes notice.

    Raises:
        UnavailableError: If ``impl="fused"`` and there is an obstacle.
    """
    if impl == "fused" and obstacle is not None:
        raise UnavailableError(
            f"`impl` must be 'auto' or 'reference' here; got 'fused', but the fused {op} cannot run: {obstacle}."
        )
    against = obstacle or loss
    if impl == "auto" and not torch.compiler.is_compiling():  # which would stop at a log
        say_once(f"{op} on {device.type}: `impl='auto'` takes {f'reference: {against}' if against else 'fused'}")
    return impl == "fused" or (impl == "auto" and against is None)


@functools.cache
def say_once(message: str) -> None:
    """Log a choice when it is made for the first time."""
    _logger.info(message)
