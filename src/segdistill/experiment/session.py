"""From a recipe to objects."""

import logging
from typing import NamedTuple

import torch
from torch import nn

from segdistill.data import SegmentationDataset, together
from segdistill.distill import Distiller
from segdistill.engine import make_optimizers
from segdistill.experiment.datasets import build_datasets, open_source, unlabelled_source
from segdistill.experiment.given import given_student, refuse_crop, refuse_not_given
from segdistill.experiment.keys import about, keys_of, keys_of_terms
from segdistill.experiment.networks import build_distiller, build_student, build_teacher, layers_read
from segdistill.experiment.suiting import Suited, suit_terms
from segdistill.labels import LabelTable
from segdistill.networks import Network, Teacher, with_defaults
from segdistill.recipe import ModelConfig, Recipe, TeacherConfig
from segdistill.util import RecipeError

logger = logging.getLogger(__name__)


class Built(NamedTuple):
    """What a recipe becomes.

    Attributes:
        labels: Class table of the data.
        train_set: Images to learn from, unlabelled ones included.
        val_set: Scored during training, or None.
        test_set: Scored at the end, or None.
        distiller: Student and terms, on the CPU.
        teacher: Or None.
        optimizers: Over the distiller's parameters: the student's, then those of losses that have their own.
        suited: Options of terms that the recipe left to the size of their maps.
    """

    labels: LabelTable
    train_set: SegmentationDataset
    val_set: SegmentationDataset | None
    test_set: SegmentationDataset | None
    distiller: Distiller
    teacher: Teacher | None
    optimizers: list[torch.optim.Optimizer]
    suited: Suited


def build(recipe: Recipe, student: nn.Module | str | None = None, teacher: Teacher | str | None = None) -> Built:
    """Build everything, so that what can fail does so before a run starts.

    Args:
        recipe: What to build.
        student: Instead of the recipe's ``model``; a text is the place of a function that builds it.
        teacher: Instead of the recipe's ``teacher``; likewise.

    Raises:
        SegdistillError: One sentence; about the networks of the recipe it names the key.
    """
    refuse_not_given(recipe, student, teacher)
    train_set, val_set, test_set = build_datasets(recipe)
    labels = train_set.labels
    torch.manual_seed(recipe.seed)  # the same initial student for every method at this seed
    if student is not None:
        network = given_student(student, labels, recipe.model.features)
    else:
        with about(keys_of("model", ModelConfig.model_fields), otherwise="model"):
            network = build_student(recipe.model, labels)
    own = teacher if isinstance(teacher, str) else None
    teacher = None if isinstance(teacher, str) else teacher
    if teacher is None and recipe.teacher is not None and recipe.terms:
        keys = keys_of("teacher", TeacherConfig.model_fields) | {"path": "teacher.weights"}
        with about(keys, otherwise="teacher.weights"):
            teacher = build_teacher(
                recipe.teacher, labels, precision=recipe.train.precision, own=own, layers=layers_read(recipe)
            )
    _refuse_other_channels("model", network, recipe)
    if teacher is not None:
        _refuse_other_channels("teacher", teacher.network, recipe)
        teacher.network = with_defaults(teacher.network, layers_read(recipe))
    for key, built in (("model", network), ("teacher", teacher and teacher.network)):
        if built is not None and built.spec is None:
            refuse_crop(key, built, recipe.data.crop_size)
    with about({"features": "model.features"} | keys_of_terms(recipe.terms)):
        suited = suit_terms(recipe, teacher)
        distiller = build_distiller(recipe, network, teacher, suited.options)
    optimizers = make_optimizers(
        distiller,
        name=recipe.optim.name,
        lr=recipe.optim.lr,
        momentum=recipe.optim.momentum,
        weight_decay=recipe.optim.weight_decay,
    )
    if recipe.data.unlabelled is not None:
        train_set = together(train_set, open_source(unlabelled_source(recipe.data), recipe.data))
    return Built(labels, train_set, val_set, test_set, distiller, teacher, optimizers, suited)


def _refuse_other_channels(key: str, network: Network, recipe: Recipe) -> None:
    """Refuse a network that is fed other channels than the images have."""
    wanted, found = recipe.data.channels, len(network.preprocessing.mean)
    if found == wanted:
        return
    remedy = f"Read images of {found} channels: `data.channels={found}`."
    if key == "model" and network.spec is not None:
        remedy = (
            f"Give `{key}.options.mean` and `{key}.options.std` {wanted} number{'s'[: wanted > 1]} each: "
            "`segdistill check RECIPE --stats` measures them."
        )
    raise RecipeError(
        f"`{key}` must take images of {wanted} channel{'s'[: wanted > 1]}, as `data.channels` says; "
        f"its mean and standard deviation are of {found}. {remedy}"
    )
