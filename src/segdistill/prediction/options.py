"""Options of prediction, checked."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from segdistill.engine import Protocol
from segdistill.util import ArgumentError

DEVICES = ("auto", "cpu", "cuda")


def chosen_device(device: str) -> str:
    """``cpu`` or ``cuda``.

    Raises:
        ArgumentError: If it is another, or not there.
    """
    if device not in DEVICES:
        raise ArgumentError(f"`device` must be auto, cpu or cuda; got {device!r}.")
    if device == "cuda" and not torch.cuda.is_available():
        raise ArgumentError("`device` is cuda, but torch sees no GPU here. Take cpu.")
    return device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def chosen_protocol(window: Any, scales: Sequence[float], flip: bool) -> Protocol:
    """How an image is looked at.

    Raises:
        ArgumentError: If a number cannot be.
    """
    good = isinstance(scales, Sequence) and not isinstance(scales, str) and len(scales) > 0
    if not good or not all(isinstance(scale, (int, float)) and 0 < scale < math.inf for scale in scales):
        raise ArgumentError(f"`scales` must be numbers above 0, for example 0.75, 1, 1.25; got {scales!r}.")
    if window is not None:
        if not isinstance(window, Sequence) or isinstance(window, str) or len(window) != 2:
            raise ArgumentError(f"`window` must be a height and a width; got {window!r}.")
        window = (positive("window", window[0]), positive("window", window[1]))
    return Protocol(tuple(float(scale) for scale in scales), bool(flip), window)


def positive(name: str, value: Any) -> int:
    """A whole number, at least 1.

    Raises:
        ArgumentError: If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(f"`{name}` must be a whole number, at least 1; got {value!r}.")
    return value
