"""From a recipe to objects."""

import logging
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn

from segdistill.data import SegmentationDataset, together
from segdistill.distill import Distiller
from segdistill.engine import make_optimizers
from segdistill.experiment.datasets import build_datasets, open_source, unlabelled_source
from segdistill.experiment.given import Given, given_student, refuse_crop, refuse_not_given
from segdistill.experiment.keys import about, keys_of, keys_of_terms
from segdistill.experiment.networks import build_distiller, build_student, layers_read
from segdistill.experiment.suiting import Suited, suit_terms
from segdistill.experiment.teachers import build_teachers, key_of
from segdistill.labels import LabelTable
from segdistill.networks import Network, Teacher, Teachers, named_teachers, with_defaults
from segdistill.recipe import ModelConfig, Recipe
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
        teacher: One, several, or None.
        optimizers: Over the distiller's parameters: the student's, then those of losses that have their own.
        suited: Options of terms that the recipe left to the size of their maps.
    """

    labels: LabelTable
    train_set: SegmentationDataset
    val_set: SegmentationDataset | None
    test_set: SegmentationDataset | None
    distiller: Distiller
    teacher: Teacher | Teachers | None
    optimizers: list[torch.optim.Optimizer]
    suited: Suited

    @property
    def teachers(self) -> dict[str, Teacher]:
        """Teachers by name; one alone is called ``teacher``."""
        return named_teachers(self.teacher)


def build(recipe: Recipe, student: nn.Module | str | None = None, teacher: Given | None = None) -> Built:
    """Build everything, so that what can fail does so before a run starts.

    Args:
        recipe: What to build.
        student: Instead of the recipe's ``model``; a text is the place of a function that builds it.
        teacher: Instead of the recipe's ``teacher``, likewise, or several by name.

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
    if isinstance(teacher, Mapping):
        teacher = Teachers(teacher)
    if isinstance(teacher, str) or (teacher is None and recipe.terms):
        teacher = build_teachers(recipe, labels, own=own)
    _refuse_other_channels("model", network, recipe)
    networks = {"model": network}
    for name, one in named_teachers(teacher).items():
        key = key_of(name, recipe)
        _refuse_other_channels(key, one.network, recipe)
        one.network = with_defaults(one.network, layers_read(recipe))
        networks[key] = one.network
    for key, made in networks.items():
        if made.spec is None:
            refuse_crop(key, made, recipe.data.crop_size)
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
