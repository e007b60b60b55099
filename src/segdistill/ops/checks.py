"""Argument checks shared by the ops and the losses: one sentence, before any work is done."""

import math
import numbers
from collections.abc import Iterable, Sequence

from torch import Tensor

from segdistill.util import ArgumentError


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Refuse a name that is not in ``choices``."""
    known = list(choices)
    if value not in known:
        raise ArgumentError(f"`{name}` must be one of {', '.join(map(repr, known))}; got {value!r}.")


def check_count(name: str, value: object, minimum: int = 1) -> None:
    """Refuse what is not an integer of at least ``minimum``."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < minimum:
        raise ArgumentError(f"`{name}` must be an integer of at least {minimum}; got {value!r}.")


def check_positive(name: str, value: float) -> None:
    """Refuse what is not a finite number above zero."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < value < math.inf:
        raise ArgumentError(f"`{name}` must be a finite number above 0; got {value!r}.")


def check_not_negative(name: str, value: float) -> None:
    """Refuse what is not a finite number of at least zero."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value < math.inf:
        raise ArgumentError(f"`{name}` must be a finite number of at least 0; got {value!r}.")


def check_ratio(name: str, value: float) -> None:
    """Refuse what is not a number in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value < 1:
        raise ArgumentError(f"`{name}` must be a share in [0, 1); got {value!r}.")


def check_size(name: str, value: Sequence[int]) -> tuple[int, int]:
    """Refuse what is not (height, width) of at least one each; return it as a tuple."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise ArgumentError(f"`{name}` must be a pair (height, width); got {value!r}.")
    for side in value:
        check_count(name, side)
    return int(value[0]), int(value[1])


def check_map(name: str, tensor: Tensor, channels: int | None = None) -> None:
    """Refuse what is not a floating (B, C, H, W) tensor, with C = ``channels`` where that is given."""
    if tensor.ndim != 4 or not tensor.is_floating_point():
        raise ArgumentError(
            f"`{name}` must be a floating-point map (B, C, H, W); got {tensor.dtype} of shape {tuple(tensor.shape)}."
        )
    if channels is not None and tensor.shape[1] != channels:
        raise ArgumentError(
            f"`{name}` must have {channels} channels; got {tensor.shape[1]} (shape {tuple(tensor.shape)}). "
            "Build the loss with the widths of the maps it is given."
        )


def check_together(student: Tensor, teacher: Tensor) -> None:
    """Refuse a student and a teacher of different batches or on different devices."""
    if student.shape[0] != teacher.shape[0] or student.shape[0] == 0:
        raise ArgumentError(
            "`student` and `teacher` must hold the same images, at least one; "
            f"got batches of {student.shape[0]} and {teacher.shape[0]}."
        )
    if student.device != teacher.device:
        raise ArgumentError(
            f"`student` and `teacher` must be on one device; got {student.device} and {teacher.device}."
        )
