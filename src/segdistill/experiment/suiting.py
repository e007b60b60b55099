"""Options of a term that follow the size of its map, where the recipe leaves them open."""

import logging
from typing import Any, NamedTuple

import torch

from segdistill.engine import eager
from segdistill.losses import LOSSES
from segdistill.networks import Teacher, Teachers, named_teachers
from segdistill.recipe import Recipe

logger = logging.getLogger(__name__)

_HUGE = (2**20, 2**20)  # a map on which every option is as published


class Suited(NamedTuple):
    """What open options became.

    Attributes:
        options: By the name of the term.
        notes: A sentence for every term whose options are others than the published ones.
    """

    options: dict[str, dict[str, Any]]
    notes: list[str]


def suit_terms(recipe: Recipe, teacher: Teacher | Teachers | None) -> Suited:
    """Settle what the recipe leaves open or calls ``auto``; what it says is never changed.

    One pass of a teacher over an empty crop tells the sizes, if a term asks for them.
    """
    suited = Suited({}, [])
    teachers = named_teachers(teacher)
    known: dict[str, dict[str, tuple[int, int]]] = {}
    for name, term in recipe.terms.items():
        kind = LOSSES.get(term.loss or name)
        published = {} if kind is None else kind.suited(term.options, _HUGE)
        if kind is None or not published or not teachers:
            continue
        taught_by = term.teacher if term.teacher in teachers else next(iter(teachers))  # the mean has the first's size
        if taught_by not in known:
            known[taught_by] = _sizes(teachers[taught_by], recipe.data.crop_size)
        layer = kind.layer if term.layer is None else term.layer
        size = known[taught_by].get(str(layer if isinstance(layer, str) else layer[-1]))
        if size is None:  # no such layer, which the distiller says
            continue
        options = suited.options[name] = kind.suited(term.options, size)
        note = (
            f"{kind.title} reads maps of {size[0]}x{size[1]}, so `auto` took {_text(options)}; "
            f"published is {_text(published)}."
        )
        logger.info("terms.%s: %s", name, note)
        if options != published:
            suited.notes.append(note)
    return suited


def _sizes(teacher: Teacher, crop_size: tuple[int, int]) -> dict[str, tuple[int, int]]:
    """Height and width of the teacher's maps of a crop, by layer."""
    parameter = next(teacher.parameters(), None)
    channels = len(teacher.network.preprocessing.mean)
    image = torch.zeros(1, channels, *crop_size, device=None if parameter is None else parameter.device)
    with eager(), torch.no_grad():
        output = teacher(image)
    maps = {"logits": output.logits, "aux_logits": output.aux_logits, **output.features}
    return {name: (x.shape[-2], x.shape[-1]) for name, x in maps.items() if x is not None}


def _text(options: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items())
