"""Networks that come from Python and not from a recipe, and what the recipe of such a run says instead."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from segdistill.labels import LabelTable
from segdistill.networks import ALONE, Network, Teacher, Teachers, as_network, named_teachers
from segdistill.recipe import Recipe, load_recipe
from segdistill.util import ArgumentError, RecipeError, as_texts

GIVEN = "(given in Python)"

_OF_NO_SOURCE = ("source=null", "name=null", "pretrained=false", "options={}", "features=null", "classes=null")

Given = Teacher | Teachers | Mapping[str, Teacher]
"""A teacher, or several by name."""


def recipe_with(
    recipe: str | Path | Recipe, overrides: Sequence[str], student: nn.Module | None, teacher: Given | None
) -> Recipe:
    """A recipe in which networks that are given stand as `GIVEN`, so that its file does not name others.

    Args:
        recipe: A name, a YAML file, or a recipe.
        overrides: ``key=value``.
        student: To be trained, instead of the recipe's ``model``.
        teacher: To learn from, instead of the recipe's ``teacher``.

    Raises:
        ArgumentError: If a network is of another kind.
        RecipeError: As `load_recipe`; if there is a teacher and nothing to learn from it.
    """
    if student is not None and not isinstance(student, nn.Module):
        raise ArgumentError(f"`student` must be a torch.nn.Module; got {type(student).__name__}.")
    named = named_teachers(teacher)
    changes = [*as_texts("overrides", overrides, '["optim.lr=0.01"]')]
    if student is not None:
        changes.append(f"model.name={GIVEN}")
    if named:
        changes.append("teachers={}" if ALONE in named else "teacher=null")
    for name in named:
        key = ALONE if name == ALONE else f"teachers.{name}"
        changes += [f"{key}.{change}" for change in (*_OF_NO_SOURCE, f"weights={GIVEN}")]
    chosen = load_recipe(recipe, changes)
    if teacher is not None and not chosen.terms:
        raise RecipeError(
            f"`teacher` is given, but the recipe {chosen.name} has no `terms`: nothing would be learned from it."
        )
    return chosen


def refuse_not_given(recipe: Recipe, student: nn.Module | None, teacher: Given | None) -> None:
    """Refuse the recipe of a run whose networks came from Python, without these networks."""
    taught_by = [config.weights for config in recipe.taught_by.values() if recipe.terms]
    for key, name, network in (
        ("model.name", recipe.model.name, student),
        ("teacher.weights", GIVEN if GIVEN in taught_by else "", teacher),
    ):
        if name == GIVEN and network is None:
            role = "student" if key.startswith("model") else "teacher"
            raise RecipeError(f"`{key}`: the {role} of this recipe was given in Python. Give it again as `{role}=`.")


def given_student(student: nn.Module, labels: LabelTable, features: Mapping[str, str] | None) -> Network:
    """A student that was given, as a `Network` that knows the classes of the data.

    Raises:
        ArgumentError: If it tells another number of classes apart.
    """
    network = as_network(student, role="student", features=features)
    if network.num_classes not in (None, labels.num_classes):
        raise ArgumentError(
            f"`student` must have the {labels.num_classes} classes of the data; it has {network.num_classes}."
        )
    network.labels = labels
    return network
