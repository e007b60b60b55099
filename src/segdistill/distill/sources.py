"""Which teacher a term learns from: one by name, the only one, or the mean of several."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from segdistill.networks import MEAN, ClassMap, Network, Teacher, classes_of_mean, mean_output
from segdistill.types import SegOutput
from segdistill.util import ArgumentError, nearest

LOGITS = ("logits", "aux_logits")
"""Layers that are no features."""


class Source(NamedTuple):
    """The teacher of a term, as far as it is known when the distiller is made.

    Attributes:
        name: Among the teachers' answers; None: whichever answers.
        teacher: Whose features are read; None for the mean, and where no teacher was given.
        classes: Of its logits.
        num_classes: Channels of its logits; None where not known.
    """

    name: str | None
    teacher: Teacher | None = None
    classes: ClassMap | None = None
    num_classes: int | None = None


def read_logits(layers: Sequence[tuple[str, str]]) -> bool:
    """Whether a term compares logits only."""
    return all(layer in LOGITS for pair in layers for layer in pair)


def source_of(
    term: str, wanted: str | None, layers: Sequence[tuple[str, str]], teachers: Mapping[str, Teacher]
) -> Source:
    """The teacher of a term.

    Args:
        term: Its name, for messages.
        wanted: The teacher that it names; None: the only one, else the mean.
        layers: Pairs of the student's and the teacher's.
        teachers: By name; empty where the distiller was given none.

    Raises:
        ArgumentError: If there is no such teacher, features have no name to come from, or the teacher has no classes.
    """
    if not teachers:
        return Source(wanted)
    name = wanted or (next(iter(teachers)) if len(teachers) == 1 else MEAN)
    if name == MEAN:
        if not read_logits(layers):
            raise _no_name(term, teachers)
        return Source(MEAN, None, *classes_of_mean(teachers))
    if name not in teachers:
        raise ArgumentError(
            f"`teacher` of the term {term!r} must be one of the teachers; got {name!r}. {nearest(name, teachers)}"
        )
    teacher = teachers[name]
    if teacher.num_classes == 0 and any(theirs in LOGITS for _, theirs in layers):
        raise ArgumentError(
            f"the term {term!r} compares logits, and the {_title(name)} has no classes in common with the student: "
            "it teaches features only. Give the term a `layer` of features, or leave it out."
        )
    return Source(name, teacher, teacher.classes, teacher.num_classes)


def check_names(term: str, student: Network, teacher: Teacher | None) -> None:
    """Refuse to compare logits of networks that name other classes, or the same in another order.

    Raises:
        ArgumentError: If both name their classes, and nothing says how they go together.
    """
    if teacher is None or teacher.classes is not None or None in (student.labels, teacher.network.labels):
        return
    assert student.labels is not None
    assert teacher.network.labels is not None
    ours, theirs = student.labels.names, teacher.network.labels.names
    for number, (own, other) in enumerate(zip(ours, theirs, strict=False)):
        if own != other:
            raise ArgumentError(
                f"the term {term!r} compares logits, so student and teacher must have the same classes in one order; "
                f"class {number} is {own!r} and {other!r}. Bring them together by name: "
                "`Teacher(..., classes=map_classes(theirs, ours))`."
            )


def answer_of(
    term: str, name: str | None, layers: Sequence[tuple[str, str]], outputs: dict[str, SegOutput]
) -> SegOutput:
    """What the teacher of a term said; a mean is added to ``outputs``, so that it is made once.

    Raises:
        ArgumentError: If it said nothing.
    """
    if not outputs:
        raise ArgumentError(f"`teacher_output` must be given for the term {term!r}; got None. Pass `teacher(images)`.")
    if name is None:
        answering = [one for one in outputs if one != MEAN]
        if len(answering) > 1 and not read_logits(layers):
            raise _no_name(term, answering)
        name = answering[0] if len(answering) == 1 else MEAN
    if name == MEAN and MEAN not in outputs:
        outputs[MEAN] = mean_output(list(outputs.values()))
    if name not in outputs:
        raise ArgumentError(
            f"`teacher_output` must hold what the teacher {name!r} of the term {term!r} says; got {', '.join(outputs)}."
        )
    return outputs[name]


def _no_name(term: str, teachers: Sequence[str] | Mapping[str, Teacher]) -> ArgumentError:
    return ArgumentError(
        f"the term {term!r} reads features, which several teachers have: {', '.join(teachers)}. "
        "Name one: `teacher: NAME` in the term."
    )


def _title(name: str) -> str:
    return "teacher" if name == "teacher" else f"teacher {name!r}"
