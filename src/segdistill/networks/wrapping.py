"""Any model as a `Network`: a plain module gets one around it, which finds out what images it takes."""

import logging
from collections.abc import Sequence
from typing import Final

import torch
from torch import nn

from segdistill.networks.modes import evaluating
from segdistill.networks.network import Features, Network, a_weight
from segdistill.networks.reading import LogitsOf
from segdistill.types import AS_IT_IS, Preprocessing
from segdistill.util import ArgumentError

logger = logging.getLogger(__name__)

_ANY: Final = (97, 145)  # a multiple of nothing that a network might want
_MULTIPLES: Final = (2, 4, 8, 14, 16, 32, 64)
_SQUARES: Final = (224, 256, 384, 448, 512, 518)


def as_network(
    model: nn.Module,
    *,
    role: str,
    features: Features | None = None,
    logits: LogitsOf | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    bgr: bool = False,
    size: tuple[int, int] | None = None,
    multiple: int | None = None,
) -> Network:
    """A model as a `Network`: a plain module with the arguments given, a `Network` as it knows itself.

    Of a plain module that is told neither ``size`` nor ``multiple`` it is tried out which images it takes.

    Raises:
        ArgumentError: If ``model`` is no module, a `Network` is told again how it is fed or read, or both ``size`` and
            ``multiple`` are given.
    """
    if isinstance(model, Network):
        told = {"logits": logits, "mean": mean, "std": std, "bgr": bgr or None, "size": size, "multiple": multiple}
        again = [f"`{name}`" for name, value in told.items() if value is not None]
        if again:
            raise ArgumentError(f"{', '.join(again)} must be left out for a Network, which knows them itself.")
        model.role = role
        return model if features is None else model.reading(features)
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"the {role} must be a torch module or a Network; got {type(model).__name__}.")
    if size is not None and multiple is not None:
        raise ArgumentError(
            f"`size` and `multiple` of the {role} must not both be given: a fixed size is padded to nothing."
        )
    if multiple is not None and (not isinstance(multiple, int) or multiple < 1):
        raise ArgumentError(f"`multiple` must be a whole number, at least 1; got {multiple!r}.")
    preprocessing = AS_IT_IS._replace(bgr=bgr, size=size, multiple=multiple or 1)
    if mean is not None:
        preprocessing = preprocessing._replace(mean=tuple(mean))
    if std is not None:
        preprocessing = preprocessing._replace(std=tuple(std))
    if size is None and multiple is None:
        preprocessing = _sized(model, preprocessing, role)
    return Network(model, features=features, logits=logits, preprocessing=preprocessing, role=role)


def _sized(module: nn.Module, preprocessing: Preprocessing, role: str) -> Preprocessing:
    """How a plain module is fed, with the multiple or the one size that it insists on, if trials on noise tell.

    A module that takes no trial image at all is left: what it is given first says why.
    """
    with evaluating(module):
        channels = len(preprocessing.mean)
        if _takes(module, channels, _ANY):
            return preprocessing
        for multiple in _MULTIPLES:
            if _takes(module, channels, _odd_multiples(multiple)):
                logger.info("The %s takes only sides that are multiples of %d: images are padded.", role, multiple)
                return preprocessing._replace(multiple=multiple)
        for side in _SQUARES:
            if _takes(module, channels, (side, side)):
                logger.warning("The %s takes only images of %dx%d: others are resized to it.", role, side, side)
                return preprocessing._replace(size=(side, side))
    return preprocessing


def _odd_multiples(multiple: int) -> tuple[int, int]:
    """Sides that are multiples of this number and of no larger one of the list.

    >>> _odd_multiples(32), _odd_multiples(14)
    ((160, 224), (98, 126))
    """
    count = max(5, -(-_ANY[0] // multiple))
    count += 1 - count % 2
    return count * multiple, (count + 2) * multiple


def _takes(module: nn.Module, channels: int, size: tuple[int, int]) -> bool:
    weight = a_weight(module)
    image = torch.zeros(1, channels, *size, dtype=weight.dtype, device=weight.device)
    try:
        # code that is compiled now would be compiled for this size
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            module(image)
    except Exception as error:  # a foreign network may raise anything
        logger.info("An image of %dx%d is refused: %s", *size, error)
        return False
    return True
