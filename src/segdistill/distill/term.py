"""A distillation term: which loss, on what, with which weight; and how it becomes a module."""

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import nn
from torch.nn.parameter import UninitializedParameter

from segdistill.losses import LOSSES
from segdistill.util import ArgumentError, nearest


class Term(NamedTuple):
    """One distillation loss, what it reads, and its weight.

    Attributes:
        loss: Name in ``LOSSES`` or any module called with ``(student, teacher)`` tensors.
        weight: Factor of the loss, or one for each part of a loss that has several:
            ``{"mimic": 2e-6, "contrast": 5e-3}``. Default None: as published (the loss's ``published``), 1 for a
            loss that says nothing about it.
        on: ``"logits"`` or the name of a feature. Default None: what the loss reads by nature.
        teacher_on: The teacher's field where its name differs. Default None: as ``on``.
        options: Keyword arguments of the loss.
        name: Its name in ``StepOutput.parts``. Default None: the loss's.
    """

    loss: str | nn.Module
    weight: float | Mapping[str, float] | None = None
    on: str | None = None
    teacher_on: str | None = None
    options: Mapping[str, Any] = {}  # nobody writes to it
    name: str | None = None


class BoundTerm(NamedTuple):
    """A term after construction: its fields, and the weight of every part it returns."""

    student_field: str
    teacher_field: str
    weights: dict[str, float]  # by the name in StepOutput.parts
    uses_labels: bool


def loss_class(term: Term) -> type[nn.Module]:
    """The class of a term's loss, looked up if it is a name."""
    if isinstance(term.loss, nn.Module):
        return type(term.loss)
    if term.loss not in LOSSES:
        raise ArgumentError(
            f"`loss` must be one of LOSSES or a module; got {term.loss!r}. {nearest(term.loss, list(LOSSES))}"
        )
    return LOSSES[term.loss]


def make_loss(term: Term, kind: type[nn.Module], name: str, sizes: Mapping[str, int | None]) -> nn.Module | None:
    """The loss module of a term, or None while a size that it needs is unknown.

    Args:
        term: What to build.
        kind: Its class.
        name: Of the term, for messages.
        sizes: ``student_channels``, ``teacher_channels`` and ``num_classes``, None where not known yet; given to
            a loss that has such parameters, unless the term's options do.
    """
    if isinstance(term.loss, nn.Module):
        return term.loss
    known = list(inspect.signature(kind).parameters)
    options = {key: value for key, value in sizes.items() if key in known} | dict(term.options)
    for key in options:
        if key not in known:
            raise ArgumentError(
                f"the loss {term.loss!r} of the term {name!r} has no option {key!r}. {nearest(key, known)}"
            )
    return None if None in (options.get(key, 0) for key in sizes) else kind(**options)


def unsized_twin(term: Term, kind: type[nn.Module], name: str) -> nn.Module:
    """The loss with every parameter waiting for its shape; its options are checked by building it once."""
    groups = int(term.options.get("groups", 16))
    loss = make_loss(term, kind, name, {"student_channels": groups, "teacher_channels": groups, "num_classes": groups})
    assert loss is not None
    for path, _ in list(loss.named_parameters()):
        owner, _, leaf = path.rpartition(".")
        setattr(loss.get_submodule(owner), leaf, UninitializedParameter())
    return loss


def part_weights(term: Term, loss: nn.Module, name: str) -> dict[str, float]:
    """Weight of every part, by its name in ``StepOutput.parts``."""
    parts: tuple[str, ...] = getattr(loss, "parts", ())
    weight = getattr(loss, "published", None if parts else 1.0) if term.weight is None else term.weight
    if not parts and isinstance(weight, float | int):
        return {name: float(weight)}
    if not parts or not isinstance(weight, Mapping) or set(weight) != set(parts):
        wanted = f"a weight for each of {', '.join(parts)}" if parts else "one number"
        raise ArgumentError(f"`weight` of the term {name!r} must be {wanted}; got {weight!r}.")
    return {f"{name}.{part}": float(weight[part]) for part in parts}


def check_classes(name: str, student: int | None, teacher: int | None) -> None:
    """Refuse to compare logits over different classes."""
    if student != teacher:
        raise ArgumentError(
            f"the term {name!r} compares logits, so student and teacher must have the same classes; "
            f"got {student} and {teacher}. Distil features instead, or retrain one of them."
        )
