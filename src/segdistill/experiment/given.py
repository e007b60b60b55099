"""Networks that come from Python and not from a recipe, and what the recipe of such a run says instead."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from segdistill.engine import eager
from segdistill.labels import LabelTable
from segdistill.networks import (
    ALONE,
    Network,
    Teacher,
    Teachers,
    as_network,
    evaluating,
    is_place,
    named_teachers,
    own_network,
)
from segdistill.recipe import Recipe, load_recipe
from segdistill.util import ArgumentError, RecipeError, SegdistillError, as_texts

GIVEN = "(given in Python)"

_OF_NO_SOURCE = ("source=null", "name=null", "pretrained=false", "options={}", "features=null", "classes=null")

Given = Teacher | Teachers | Mapping[str, Teacher] | str
"""A teacher, several by name, or the place of a function that builds one."""


def recipe_with(
    recipe: str | Path | Recipe,
    overrides: Sequence[str],
    student: nn.Module | str | None,
    teacher: Given | None,
) -> Recipe:
    """A recipe in which networks that are given stand as `GIVEN`, so that its file does not name others.

    Args:
        recipe: A name, a YAML file, or a recipe.
        overrides: ``key=value``.
        student: To be trained, instead of the recipe's ``model``: a module, or the place of a function that builds it.
        teacher: To learn from, instead of the recipe's ``teacher``: likewise.

    Raises:
        ArgumentError: If a network is of another kind.
        RecipeError: As `load_recipe`; if there is a teacher and nothing to learn from it.
    """
    for role, place in (("student", student), ("teacher", teacher)):
        if isinstance(place, str) and not is_place(place):
            raise ArgumentError(f"`{role}` must be a network or a place, module:function; got {place!r}.")
    if not isinstance(student, nn.Module | str | None):
        raise ArgumentError(f"`student` must be a torch.nn.Module; got {type(student).__name__}.")
    named = [ALONE] if isinstance(teacher, str) else list(named_teachers(teacher))
    changes = [*as_texts("overrides", overrides, '["optim.lr=0.01"]')]
    chosen = load_recipe(recipe, given_changes(changes, student is not None, named))
    if teacher is not None and not chosen.terms:
        raise RecipeError(
            f"`teacher` is given, but the recipe {chosen.name} has no `terms`: nothing would be learned from it."
        )
    return chosen


def given_changes(overrides: Sequence[str], student: bool, teachers: Collection[str]) -> list[str]:
    """Overrides after which a recipe names no network where one is given; those of the user still hold.

    Args:
        overrides: Of the user.
        student: Whether it is given.
        teachers: Names of those that are given.
    """
    changes = [*overrides]
    if student:
        changes.append(f"model.name={GIVEN}")
    if teachers:
        changes.append("teachers={}" if ALONE in teachers else "teacher=null")
    for name in teachers:
        key = ALONE if name == ALONE else f"teachers.{name}"
        changes += [f"{key}.{change}" for change in (*_OF_NO_SOURCE, f"weights={GIVEN}")]
    return changes


def refuse_not_given(recipe: Recipe, student: nn.Module | str | None, teacher: Given | None) -> None:
    """Refuse the recipe of a run whose networks came from Python, without these networks."""
    taught_by = [config.weights for config in recipe.taught_by.values() if recipe.terms]
    for key, name, network in (
        ("model.name", recipe.model.name, student),
        ("teacher.weights", GIVEN if GIVEN in taught_by else "", teacher),
    ):
        if name == GIVEN and network is None:
            role = "student" if key.startswith("model") else "teacher"
            raise RecipeError(
                f"`{key}`: the {role} of this recipe was given in Python. Give it again as `{role}=`, or "
                f"--{role} MODULE:FUNCTION."
            )


def given_student(student: nn.Module | str, labels: LabelTable, features: Mapping[str, str] | None) -> Network:
    """A student that was given, as a `Network` that knows the classes of the data.

    Raises:
        ArgumentError: If it tells another number of classes apart.
    """
    if isinstance(student, str):
        student = own_network(student, labels.num_classes, role="student")
    if isinstance(student, Teacher):
        raise ArgumentError("`student` must be a module or a Network; got a Teacher, which is frozen.")
    network = as_network(student, role="student", features=features)
    if network.num_classes not in (None, labels.num_classes):
        raise ArgumentError(
            f"`student` must have the {labels.num_classes} classes of the data; it has {network.num_classes}."
        )
    network.labels = labels
    return network


def refuse_crop(key: str, network: Network, crop_size: tuple[int, int]) -> None:
    """Refuse a network of a user's own code that fails on a crop, in a sentence that names both.

    Args:
        key: ``model`` or ``teacher``.
        network: In any mode; it is run once, in evaluation mode, without gradients.
        crop_size: Height and width.

    Raises:
        RecipeError: If it fails.
    """
    image = torch.zeros(1, len(network.preprocessing.mean), *crop_size, device=network.feed.mean.device)
    try:
        with evaluating(network), eager(), torch.no_grad():
            network(image)
    except (SegdistillError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a foreign network may raise anything
        raise RecipeError(
            f"`{key}` must take a crop of {crop_size[0]}x{crop_size[1]} (data.crop_size); {network!r} fails with "
            f"{type(error).__name__}: {str(error).rstrip('.')}. Choose another crop_size, or say which sizes it takes: "
            "`size` or `multiple` of its Preprocessing, in sd.Network(module, preprocessing=...)."
        ) from error
