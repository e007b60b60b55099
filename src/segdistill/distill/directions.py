"""Fitting the few directions in which terms compare wide maps, to what a teacher says of some images."""

from collections.abc import Iterable, Mapping
from typing import Final

import torch
from torch import Tensor

from segdistill.distill.distiller import Distiller
from segdistill.distill.inputs import teacher_outputs
from segdistill.distill.maps import map_of
from segdistill.distill.sources import answer_of
from segdistill.losses import Directions
from segdistill.types import SegOutput

POSITIONS: Final = 1024
"""Most positions of an image that are looked at, at even distances: the covariance of 2048 channels needs no more."""


@torch.no_grad()
def fit_directions(distiller: Distiller, answers: Iterable[SegOutput | Mapping[str, SegOutput]]) -> dict[str, float]:
    """Fit every term with ``width`` and ``basis="pca"`` to the maps that it reads, in one pass, in float64.

    Call it once, before the training; the directions are part of the distiller's state. A recipe does it by itself.

    Args:
        distiller: Has the terms. Without such a term, no answer is asked for.
        answers: What the `Teacher` says of some batches of training images; a few hundred images are enough.

    Returns:
        Share of the energy that the directions keep, by the name of the term; of drawn directions what is expected.

    Raises:
        ArgumentError: If no answer is given, or a map has no energy.

    Example:
        ``fit_directions(distiller, (teacher(images) for images, _ in islice(loader, 32)))``
    """
    narrow = {name: loss.projection for name, loss in distiller.distillation_losses().items() if loss.projection}
    fitted = {name: directions for name, directions in narrow.items() if directions.basis == "pca"}
    moments = {name: _zeros(directions) for name, directions in fitted.items()}
    for answer in answers if fitted else ():
        outputs = teacher_outputs(answer)
        for name in fitted:
            term = distiller.bound[name]
            said = answer_of(name, term.teacher, term.layers, outputs)
            moments[name] += _moment(map_of(said, term.layers[0][1], name, "teacher")).cpu()
    for name, directions in fitted.items():
        directions.fit(moments[name])
    return {name: float(directions.energy) for name, directions in narrow.items()}


def _zeros(directions: Directions) -> Tensor:
    return torch.zeros(directions.channels, directions.channels, dtype=torch.float64)


def _moment(x: Tensor) -> Tensor:
    """Sum of outer products of a map's cells, (C, C)."""
    cells = x.flatten(2)
    cells = cells[..., :: max(1, cells.shape[-1] // POSITIONS)].double()
    return torch.einsum("bcn,bdn->cd", cells, cells)
