"""The layers of networks that a user names in one word: a source's, one of a recipe, of a run, of their own."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from segdistill import store
from segdistill.experiment.folders import recipe_of
from segdistill.experiment.given import GIVEN
from segdistill.networks import (
    SOURCES,
    Layer,
    Layers,
    Network,
    as_network,
    create_network,
    find_layers,
    is_place,
    named_layers,
    own_network,
)
from segdistill.prediction import load, weights_file
from segdistill.recipe import Recipe, TeacherConfig, load_recipe
from segdistill.util import ArgumentError, RunError, as_texts

_CLASSES: Final = 19  # of a network that nobody has said it of; no other layer depends on it
_CROP: Final = (512, 512)


class Tappable(NamedTuple):
    """A network and the layers that terms may read.

    Attributes:
        network: Itself, with its role.
        named: Layers that it names itself.
        found: Others that are worth a name, and what stands for ``layer4`` and ``head``.
        size: Height and width of the image that sizes of maps are given for.
    """

    network: Network
    named: list[Layer]
    found: Layers
    size: tuple[int, int]


def tappable(what: str, overrides: Sequence[str] = (), *, student: str | None = None) -> list[Tappable]:
    """The layers of a network, or of student and teacher of a recipe; no data is read and nothing fetched.

    Args:
        what: ``SOURCE:NAME``, the place of a function of yours (``module:function``), a run folder, or a recipe.
        overrides: ``key=value``: options of the source, or overrides of the recipe.
        student: Place of the function that builds the network of a run of your own code.

    Raises:
        SegdistillError: If there is no such network, or it cannot be built, in a sentence.
    """
    changes = as_texts("overrides", overrides, '["output_stride=16"]')
    return [
        Tappable(network, named_layers(network), find_layers(network), network.preprocessing.size or size)
        for network, size in _networks(what, changes, student)
    ]


def _networks(what: str, overrides: Sequence[str], student: str | None) -> Iterator[tuple[Network, tuple[int, int]]]:
    source, _, name = what.partition(":")
    if name and source in SOURCES:
        options = _options(overrides)
        arguments = {key: options.pop(key) for key in ("num_classes", "weights") if key in options}
        yield create_network(name, source=source, **{"num_classes": _CLASSES, **arguments}, options=options), _CROP
    elif is_place(what):
        classes = int(_options(overrides).get("num_classes", _CLASSES))
        yield as_network(own_network(what, classes, role="network"), role="network"), _CROP
    elif (Path(what) / store.STUDENT).is_file():
        yield load(what, student).network, recipe_of(Path(what)).data.crop_size
    else:
        recipe = load_recipe(what, overrides)
        for network in _of_recipe(recipe, student):
            yield network, recipe.data.crop_size


def _of_recipe(recipe: Recipe, student: str | None) -> Iterator[Network]:
    model = recipe.model
    if student is not None or model.name == GIVEN:
        if student is None:
            raise RunError("the student of this recipe is of your own code. Give it: --student MODULE:FUNCTION.")
        network = as_network(own_network(student, _CLASSES, role="student"), role="student")
    else:
        network = create_network(model.name, source=model.source, num_classes=_CLASSES, options=model.options)
    network.role = "student"
    yield network if model.features is None else network.reading(model.features)
    for teacher in recipe.taught_by.values():
        teaches = _teacher(teacher)
        if teaches is not None:
            teaches.role = "teacher"
            yield teaches if teacher.features is None else teaches.reading(teacher.features)


def _teacher(teacher: TeacherConfig) -> Network | None:
    """The teacher, untrained where a source builds it; None where its run is not there yet."""
    if teacher.source is not None and teacher.name is not None:
        return create_network(teacher.name, source=teacher.source, num_classes=_CLASSES, options=teacher.options)
    if teacher.weights is None:
        return None
    try:
        weights_file(teacher.weights)
    except RunError:
        return None
    return load(teacher.weights).network


def _options(overrides: Sequence[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise ArgumentError(f"an option of a network must be KEY=VALUE; got {text!r}.")
        options[key] = yaml.safe_load(value)
    return options
