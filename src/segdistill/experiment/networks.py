"""The networks of a recipe, and the distiller around them."""

import torch
from torch import nn

from segdistill.distill import Distiller, Term
from segdistill.labels import LabelTable
from segdistill.losses import LOSSES
from segdistill.networks import Segmenter, Teacher, create_model
from segdistill.prediction import load_predictor
from segdistill.recipe import ModelConfig, Recipe, TeacherConfig
from segdistill.types import Preprocessing
from segdistill.util import RecipeError, nearest

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def build_student(model: ModelConfig, num_classes: int) -> Segmenter:
    """The network that is trained."""
    try:
        network = create_model(
            model.name,
            num_classes=num_classes,
            pretrained=model.pretrained,
            output_stride=model.output_stride,
            aux=model.aux,
            backbone=dict(model.backbone),
            mean=model.mean,
            std=model.std,
        )
    except RuntimeError as error:  # no network to fetch weights over: the user's to mend
        raise RecipeError(f"`model.pretrained`: {error}") from error
    if not model.dropout:
        for module in network.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.p = 0.0
    return network


def build_teacher(teacher: TeacherConfig, labels: LabelTable, *, precision: str = "fp32") -> Teacher:
    """A trained network as a teacher, with its own preprocessing; ``precision`` where it asks for none.

    Raises:
        RecipeError: If it tells other classes apart than the data set does.
    """
    predictor = load_predictor(teacher.weights, official=teacher.official, labels=labels)
    num_classes = getattr(predictor.network, "num_classes", labels.num_classes)
    if num_classes != labels.num_classes or list(predictor.names) != list(labels.names):
        raise RecipeError(
            f"the teacher must know the classes of the data set ({labels.num_classes}: {', '.join(labels.names[:4])}, "
            f"...); {teacher.weights} knows {num_classes}: {', '.join(predictor.names[:4])}, ..."
        )
    pre = predictor.preprocessing
    return Teacher(
        predictor.network,
        features=_features(predictor.network, teacher.features),
        mean=pre.mean,
        std=pre.std,
        bgr=pre.bgr,
        precision=PRECISIONS[teacher.precision or precision],
        fold_bn=teacher.fold_bn,
        compile=teacher.compile,
    )


def build_distiller(recipe: Recipe, student: nn.Module, teacher: Teacher | None) -> Distiller:
    """Student and terms."""
    terms = []
    for name, term in recipe.terms.items():
        loss = term.loss or name
        if loss not in LOSSES:
            raise RecipeError(
                f"`terms.{name}` must name a loss; got {loss!r}. {nearest(loss, LOSSES)} Or set `terms.{name}.loss`."
            )
        terms.append(Term(loss, layer=term.layer, weight=term.weight, options=term.options, name=name))
    pre: Preprocessing = getattr(student, "preprocessing", Preprocessing())
    return Distiller(
        student,
        terms,
        features=_features(student, recipe.model.features),
        mean=pre.mean,
        std=pre.std,
        bgr=pre.bgr,
        teacher=teacher,
        aux_weight=recipe.train.aux_weight,
    )


def _features(network: nn.Module, more: dict[str, str] | None) -> dict[str, str] | None:
    """Features of a recipe beside those that the network publishes."""
    if more is None:
        return None
    return {name: name for name in getattr(network, "feature_channels", {})} | more
