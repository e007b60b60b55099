"""What the adapters share: options checked by name, preprocessing as an option, a library that may be missing."""

import importlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from types import ModuleType
from typing import Any

from segdistill.types import Preprocessing
from segdistill.util import ArgumentError, UnavailableError, nearest

FEEDING = ("mean", "std", "bgr")
"""Options that every source takes: how the network is fed."""


def check_options(options: Mapping[str, Any], known: Collection[str], owner: str) -> None:
    """Refuse options that do not exist; libraries that swallow unknown keywords would train something else.

    Args:
        options: As given.
        known: Names that exist.
        owner: Whose options they are, for the message: ``the zoo``.

    Raises:
        ArgumentError: For the first that is unknown; the nearest names are listed.
    """
    for key in options:
        if key not in known:
            raise ArgumentError(f"`options.{key}` is not an option of {owner}. {nearest(key, known)}")


def check_num_classes(num_classes: int | None) -> int:
    """Refuse what is no number of classes.

    Raises:
        ArgumentError: If it is no positive integer.
    """
    if not isinstance(num_classes, int) or num_classes < 1:
        raise ArgumentError(f"`num_classes` must be a positive integer; got {num_classes!r}.")
    return num_classes


def as_json(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as they come back from the JSON of a spec, a copy of their own.

    Raises:
        ArgumentError: If they hold what JSON cannot; it names them by ``name``.
    """
    try:
        copy: dict[str, Any] = json.loads(json.dumps(dict(options)))
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"`{name}` must hold what JSON can; got {options!r}.") from error
    return copy


def split_feeding(
    options: Mapping[str, Any], default: Preprocessing | None = None
) -> tuple[Preprocessing, dict[str, Any]]:
    """How a network is fed by the options ``mean``, ``std`` and ``bgr``, and the other options.

    As many numbers as ``mean`` has, so many channels has the image: a network on four channels is given four.

    Args:
        options: As given.
        default: For what they leave open. Default: mean and standard deviation of ImageNet, red first.

    Raises:
        ArgumentError: If ``mean`` or ``std`` is no list of numbers, or they differ in length.
    """
    rest = dict(options)
    start = default or Preprocessing()
    mean, std, bgr = (rest.pop(key, None) for key in FEEDING)
    fed = start._replace(
        mean=start.mean if mean is None else _numbers("mean", mean),
        std=start.std if std is None else _numbers("std", std),
        bgr=start.bgr if bgr is None else bool(bgr),
    )
    if len(fed.mean) != len(fed.std):
        raise ArgumentError(
            f"`mean` and `std` must have one number for each channel; got {len(fed.mean)} and {len(fed.std)}. "
            "`segdistill check RECIPE --stats` measures both."
        )
    if fed.bgr and len(fed.mean) != 3:
        raise ArgumentError(f"`bgr` must be left out for images of {len(fed.mean)} channels.")
    return fed, rest


def feeding_options(preprocessing: Preprocessing) -> dict[str, Any]:
    """The options that `split_feeding` reads, for the spec of a network."""
    return {"mean": list(preprocessing.mean), "std": list(preprocessing.std), "bgr": preprocessing.bgr}


def require(library: str, *, needed_by: str, extra: str) -> ModuleType:
    """Import a library that an extra of this package brings.

    Args:
        library: Name to import.
        needed_by: What needs it, for the message.
        extra: The extra of this package that brings it.

    Raises:
        UnavailableError: If it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(library)
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f'{needed_by} needs the library {library} ({error}). Install it: pip install "segdistill[{extra}]".'
        ) from error


def _numbers(name: str, values: Sequence[float]) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"`{name}` must be a list of numbers, one a channel; got {values!r}.") from error
    if not numbers or not all(math.isfinite(value) and (name == "mean" or value > 0) for value in numbers):
        raise ArgumentError(f"`{name}` must be finite numbers, `std` positive; got {values!r}.")
    return numbers
