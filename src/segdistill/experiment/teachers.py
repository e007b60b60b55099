"""The teachers of a recipe."""

import logging
from collections.abc import Collection

from torch import nn

from segdistill.experiment.keys import about, keys_of
from segdistill.experiment.networks import PRECISIONS, layers_read
from segdistill.labels import LabelTable
from segdistill.networks import (
    ALONE,
    ClassMap,
    Network,
    Teacher,
    Teachers,
    as_network,
    map_classes,
    own_network,
    with_defaults,
)
from segdistill.prediction import load_network
from segdistill.recipe import Recipe, TeacherConfig
from segdistill.util import ArgumentError, quote

logger = logging.getLogger(__name__)


def build_teachers(recipe: Recipe, labels: LabelTable, *, own: str | None = None) -> Teacher | Teachers | None:
    """All teachers of a recipe as one: the only one itself.

    Args:
        recipe: Names them.
        labels: Classes of the data.
        own: Place of a function that builds the teacher instead, ``module:function``.

    Raises:
        RecipeError: What is wrong with one of them; it names the key.
    """
    built = {}
    for name, config in recipe.taught_by.items():
        key = key_of(name, recipe)
        keys = keys_of(key, TeacherConfig.model_fields) | {"path": f"{key}.weights"}
        with about(keys, otherwise=f"{key}.weights"):
            built[name] = build_teacher(
                config, labels, precision=recipe.train.precision or "fp32", own=own, layers=layers_read(recipe)
            )
    return built[ALONE] if built.keys() == {ALONE} else Teachers(built) if built else None


def key_of(name: str, recipe: Recipe) -> str:
    """The section of a teacher in its recipe."""
    return f"teachers.{name}" if name in recipe.teachers else name


def build_teacher(
    config: TeacherConfig,
    labels: LabelTable,
    *,
    precision: str = "fp32",
    own: str | None = None,
    layers: Collection[str] = (),
) -> Teacher:
    """A trained network as a teacher; ``precision`` where it asks for none.

    Its classes are brought to those of the data by name. Where it does not name them, it has those of the data if the
    number agrees.

    Args:
        config: What the recipe says.
        labels: Classes of the data.
        precision: Of the training.
        own: Place of a function that builds it, ``module:function``; a `Teacher` from there is taken as it is.
        layers: That terms read; defaults are found for those that it does not name, while its weights are as given.

    Raises:
        ArgumentError: If it tells other classes apart than the data set does, and the recipe does not say how they go
            together.
    """
    made: nn.Module
    if own is not None:
        made = own_network(own, labels.num_classes, role="teacher")
        if isinstance(made, Teacher):
            return made
    else:
        made = load_network(
            config.weights,
            source=config.source,
            name=config.name,
            pretrained=config.pretrained,
            options=config.options,
            num_classes=labels.num_classes,
        )
    network = with_defaults(as_network(made, role="teacher", features=config.features), layers)
    return Teacher(
        network,
        precision=PRECISIONS[config.precision or precision],
        fold_bn=config.fold_bn,
        compile=config.compile,
        classes=_classes(config, network, labels),
        certainty=config.certainty,
    )


def _classes(config: TeacherConfig, network: Network, labels: LabelTable) -> ClassMap | None:
    who, wanted = f"the teacher {config.title}", config.classes
    if network.num_classes == 0 or wanted == "none":
        return map_classes((), labels.names, "none")
    if network.labels is None:
        if wanted is not None:
            raise ArgumentError(f"`classes` must be left out or none for {who}, which does not name its classes.")
        if network.num_classes in (None, labels.num_classes):
            logger.info("%s does not name its classes: they are taken to be those of the data, in its order.", who)
            return None
        raise ArgumentError(
            f"{who} must know the classes of the data, {labels.num_classes}; it has {network.num_classes}, without "
            "names. classes=none teaches features only."
        )
    classes = map_classes(network.labels.names, labels.names, wanted, who=who)
    if classes is not None and wanted is None:
        logger.info("%s has the classes of the data in another order: they are brought in order by name.", who)
    elif classes is not None and len(classes.known) < labels.num_classes:
        unknown = [name for train_id, name in enumerate(labels.names) if train_id not in classes.known]
        logger.info("%s does not know %s: terms on logits leave them out.", who, quote(unknown))
    return classes


def knows_classes(teacher: Teacher, labels: LabelTable) -> bool:
    """Whether it can be scored on data of these classes."""
    if teacher.classes is not None:
        return bool(teacher.classes.known)
    return teacher.num_classes == labels.num_classes


def known_names(teacher: Teacher, labels: LabelTable) -> tuple[str, ...]:
    """The classes of the data that it knows."""
    if teacher.classes is None:
        return labels.names
    return tuple(labels.names[train_id] for train_id in teacher.classes.known)
