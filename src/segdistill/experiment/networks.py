"""The networks of a recipe, and the distiller around them."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch

from segdistill.distill import Distiller, Term
from segdistill.experiment.classes import refuse_other_classes
from segdistill.labels import LabelTable
from segdistill.losses import LOSSES
from segdistill.networks import Network, Teacher, as_network, create_network, own_network, with_defaults
from segdistill.prediction import Predictor, load_predictor, weights_file
from segdistill.recipe import ModelConfig, Recipe, TeacherConfig
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


def build_teacher(
    teacher: TeacherConfig,
    labels: LabelTable,
    *,
    precision: str = "fp32",
    own: str | None = None,
    layers: Collection[str] = (),
) -> Teacher:
    """A trained network as a teacher; ``precision`` where it asks for none.

    Args:
        teacher: What the recipe says.
        labels: Classes of the data.
        precision: Of the training.
        own: Place of a function that builds it, ``module:function``; a `Teacher` from there is taken as it is.
        layers: That terms read; defaults are found for those that it does not name, while its weights are as given.

    Raises:
        RecipeError: If it tells other classes apart than the data set does.
    """
    if own is not None:
        network = own_network(own, labels.num_classes, role="teacher")
        if isinstance(network, Teacher):
            return network
    else:
        predictor = load_teacher(teacher, labels)
        refuse_other_classes(f"the teacher {teacher.weights}", predictor.names, labels.names)
        network = predictor.network
    return Teacher(
        with_defaults(as_network(network, role="teacher", features=teacher.features), layers),
        precision=PRECISIONS[teacher.precision or precision],
        fold_bn=teacher.fold_bn,
        compile=teacher.compile,
    )


def load_teacher(teacher: TeacherConfig, labels: LabelTable) -> Predictor:
    """The network of a teacher, as it was trained."""
    return load_predictor(
        teacher.weights, source=teacher.source, name=teacher.name, options=teacher.options, labels=labels
    )


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
    recipe: Recipe, student: Network, teacher: Teacher | None, suited: Mapping[str, Mapping[str, Any]]
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
        terms.append(Term(loss, layer=term.layer, weight=term.weight, options=options, name=name))
    return Distiller(student, terms, teacher=teacher, aux_weight=recipe.train.aux_weight)
