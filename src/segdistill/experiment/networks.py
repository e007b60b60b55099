"""The networks of a recipe, and the distiller around them."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from segdistill.distill import Distiller, Term
from segdistill.labels import LabelTable
from segdistill.losses import LOSSES
from segdistill.networks import Network, Teacher, Teachers, create_network
from segdistill.prediction import weights_file
from segdistill.recipe import ModelConfig, Recipe
from segdistill.util import RecipeError, nearest

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def build_student(model: ModelConfig, labels: LabelTable) -> Network:
    """The network that is trained."""
    network = create_network(
        model.name,
        source=model.source,
        num_classes=labels.num_classes,
        weights=None if model.weights is None else weights_file(model.weights),
        pretrained=model.pretrained,
        options=model.options,
    )
    network.labels, network.role = labels, "student"
    return network if model.features is None else network.reading(model.features)


def layers_read(recipe: Recipe) -> set[str]:
    """Names of all layers that the terms of a recipe read, of either network."""
    layers = [
        LOSSES[term.loss or name].layer if term.layer is None else term.layer
        for name, term in recipe.terms.items()
        if (term.loss or name) in LOSSES
    ]
    return set(_flat(layers))


def _flat(layer: Any) -> Iterator[str]:
    if isinstance(layer, str):
        yield layer
    else:
        for item in layer:
            yield from _flat(item)


def build_distiller(
    recipe: Recipe, student: Network, teacher: Teacher | Teachers | None, suited: Mapping[str, Mapping[str, Any]]
) -> Distiller:
    """Student and terms; ``suited`` are further options of terms by their names."""
    terms = []
    for name, term in recipe.terms.items():
        loss = term.loss or name
        if loss not in LOSSES:
            raise RecipeError(
                f"`terms.{name}` must name a loss; got {loss!r}. {nearest(loss, LOSSES)} Or set `terms.{name}.loss`."
            )
        options = {**term.options, **suited.get(name, {})}
        terms.append(Term(loss, layer=term.layer, weight=term.weight, options=options, name=name, teacher=term.teacher))
    return Distiller(student, terms, teacher=teacher, aux_weight=recipe.train.aux_weight)


def as_saved(network: Network) -> Network:
    """A copy in evaluation mode whose tensors lie as they will in the file, so that it answers as the file's does."""
    return copy.deepcopy(network).to(memory_format=torch.contiguous_format).eval()
