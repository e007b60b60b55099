"""A distillation term: which loss, on which layers, with which weight; and how it becomes a module."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

from torch import nn

from segdistill.losses import LOSSES, DistillationLoss, PlainLoss
from segdistill.util import ArgumentError, nearest

Layer = str | Sequence[str | Sequence[str]]
"""A name; a pair (student's, teacher's); or a list of either, for losses that take several maps."""

Width = int | list[int | None] | None


@dataclass(frozen=True)
class Term:
    """One distillation loss, what it reads, and its weight.

    Attributes:
        loss: Name in ``LOSSES`` or any module called with ``(student, teacher)`` tensors; see `PlainLoss` for one that
            is no `DistillationLoss`.
        layer: ``"logits"``, ``"aux_logits"`` or the name of a feature; a pair ``(student's, teacher's)`` where the
            names differ; a list of either for a loss that takes several maps. Default None: the loss's ``layer``.
            `layer_pairs` has the rule.
        weight: Factor of the loss, or one for each part of a loss that has several:
            ``{"mimic": 2e-6, "contrast": 5e-3}``. Default None: as published.
        options: Keyword arguments of the loss; for a loss that is named.
        name: Its name in ``StepOutput.parts``. Default None: the loss's.
        teacher: Which of several teachers it learns from, or ``mean``. Default None: the only one; of several, their
            mean for logits.
    """

    loss: str | nn.Module
    _: KW_ONLY
    layer: Layer | None = None
    weight: float | Mapping[str, float] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    teacher: str | None = None


class BoundTerm(NamedTuple):
    """A term after construction: the layers it reads, the weight of every part it returns, and its teacher."""

    layers: list[tuple[str, str]]  # student's and teacher's
    weights: dict[str, float]  # by the name in StepOutput.parts
    teacher: str | None = None  # among the teachers' answers; None: whichever answers


def as_terms(terms: Term | str | Sequence[Term | str]) -> list[Term]:
    """Terms, of which each may be the bare name of a loss.

    Raises:
        ArgumentError: If one is something else.
    """
    listed = [terms] if isinstance(terms, str | Term) else list(terms)
    for term in listed:
        if not isinstance(term, str | Term):
            raise ArgumentError(
                f"`terms` must hold terms or names of losses; got {type(term).__name__}. Write Term(...) around a loss."
            )
    return [Term(term) if isinstance(term, str) else term for term in listed]


def layer_pairs(layer: Layer, *, several: bool, term: str) -> list[tuple[str, str]]:
    """What ``layer`` of a term says: the student's and the teacher's layer of every map.

    A name is both. For a loss that reads one map, two names are a pair, whether tuple or list: YAML has no tuples. For
    a loss that takes several maps, a list is a list, and two names inside it are a pair; so are two names in a tuple.

    Args:
        layer: Of the term.
        several: Whether its loss takes several maps.
        term: Its name, for messages.

    Raises:
        ArgumentError: If it is none of these.

    Example:
        >>> layer_pairs(["layer3", "stage3"], several=False, term="at")
        [('layer3', 'stage3')]
        >>> layer_pairs(["layer3", ["layer4", "stage4"]], several=True, term="at")
        [('layer3', 'layer3'), ('layer4', 'stage4')]
    """
    if isinstance(layer, str) or (not several and _is_pair(layer)) or (isinstance(layer, tuple) and _is_pair(layer)):
        return [_pair(layer)]
    if several and isinstance(layer, Sequence) and layer and all(_is_pair(x) or isinstance(x, str) for x in layer):
        return [_pair(item) for item in layer]
    rule = "a name or a pair of names (student's, teacher's)"
    if several:
        rule += ", or a list of these"
    elif isinstance(layer, Sequence):
        rule += ", as its loss reads one map"
    raise ArgumentError(f"`layer` of the term {term!r} must be {rule}; got {layer!r}.")


def _is_pair(layer: object) -> bool:
    is_sequence = isinstance(layer, Sequence) and not isinstance(layer, str)
    return is_sequence and len(layer) == 2 and all(isinstance(name, str) for name in layer)  # type: ignore[arg-type, attr-defined]


def _pair(layer: Any) -> tuple[str, str]:
    student, teacher = (layer, layer) if isinstance(layer, str) else layer
    return student, teacher


def loss_class(term: Term) -> type[DistillationLoss]:
    """The class of a term's loss, looked up if it is a name."""
    if isinstance(term.loss, nn.Module):
        return type(term.loss) if isinstance(term.loss, DistillationLoss) else PlainLoss
    if not isinstance(term.loss, str) or term.loss not in LOSSES:
        raise ArgumentError(
            f"`loss` must be one of LOSSES or a module; got {term.loss!r}. {nearest(str(term.loss), list(LOSSES))}"
        )
    return LOSSES[term.loss]


def make_loss(term: Term, name: str, sizes: Mapping[str, Width]) -> DistillationLoss:
    """The loss module of a term.

    Args:
        term: What to build.
        name: Of the term, for messages.
        sizes: ``student_channels``, ``teacher_channels`` and ``num_classes``, None where not known; given to a loss
            that has such parameters, unless the term's options do.

    Raises:
        ArgumentError: If there is no such option, a value cannot be, or a size is needed that nobody knows.
    """
    kind = loss_class(term)
    if isinstance(term.loss, nn.Module):
        if term.options:
            raise ArgumentError(
                f"`options` of the term {name!r} must be empty, as its loss is made already; got {dict(term.options)}."
            )
        return term.loss if isinstance(term.loss, DistillationLoss) else PlainLoss(term.loss)
    parameters = inspect.signature(kind).parameters
    for key in term.options:
        if key not in parameters:
            known = [*parameters, "layer", "weight"]
            raise ArgumentError(
                f"the loss {term.loss!r} of the term {name!r} has no option {key!r}. {nearest(key, known)}"
            )
    wanted = {key: size for key, size in sizes.items() if key in parameters and key not in term.options}
    known_sizes = {key: size for key, size in wanted.items() if _is_known(size)}
    unknown = [key for key in wanted if key not in known_sizes]
    why = ""
    if all(parameters[key].default is not inspect.Parameter.empty for key in unknown):
        try:
            return kind(**known_sizes, **term.options)
        except ArgumentError as error:
            if not unknown:
                raise
            why = f": {error}"
    missing = " and ".join(f"`{key}`" for key in unknown)
    raise ArgumentError(
        f"the term {name!r} needs {missing}, which the Distiller does not know{why or '.'} "
        "Give `teacher=` to the Distiller, or the numbers in `options` of the term."
    )


def _is_known(size: Width) -> bool:
    return None not in size if isinstance(size, list) else size is not None


def part_weights(term: Term, loss: DistillationLoss, name: str) -> dict[str, float]:
    """Weight of every part, by its name in ``StepOutput.parts``."""
    parts = loss.parts
    weight = loss.published if term.weight is None else term.weight
    if not parts and isinstance(weight, float | int):
        return {name: float(weight)}
    if not parts or not isinstance(weight, Mapping) or set(weight) != set(parts):
        wanted = f"a weight for each of {', '.join(parts)}" if parts else "one number"
        raise ArgumentError(f"`weight` of the term {name!r} must be {wanted}; got {weight!r}.")
    return {f"{name}.{part}": float(weight[part]) for part in parts}


def check_classes(name: str, student: int | None, teacher: int | None) -> None:
    """Refuse to compare logits over different classes."""
    if None not in (student, teacher) and student != teacher:
        raise ArgumentError(
            f"the term {name!r} compares logits, so student and teacher must have the same classes; "
            f"got {student} and {teacher}. Bring them together by name, `Teacher(..., classes=map_classes(...))`, or "
            "distil features instead."
        )
