"""Distiller: distillation around any two networks, inside anyone's training loop.

The teacher is an input of the distiller, never its child: it is not wrapped, trained, saved or counted.
Networks may be any ``nn.Module``. What is read from them is named, either by the feature names that our own
networks publish or by the dotted name of a layer, whose output a forward hook takes during the call and
which is removed right after it, so that the student stays a plain network.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segdistill.distill.inputs import check_images, check_labels, class_numbers, teacher_outputs
from segdistill.distill.known import Known, pixel_weight
from segdistill.distill.maps import condensed, map_of, taught_map, width_of
from segdistill.distill.sources import LOGITS, Source, answer_of, check_names, read_logits, source_of
from segdistill.distill.term import (
    BoundTerm,
    Term,
    Width,
    as_terms,
    check_classes,
    layer_pairs,
    loss_class,
    make_loss,
    part_weights,
)
from segdistill.losses import DistillationLoss, Maps, match_size
from segdistill.networks import (
    LogitsOf,
    Network,
    Teacher,
    Teachers,
    as_network,
    named_teachers,
    resize_logits,
    with_defaults,
)
from segdistill.types import IGNORE_INDEX, SegOutput, StepOutput
from segdistill.util import ArgumentError


class Distiller(nn.Module):
    """A student, its task loss and its distillation terms: the module that is wrapped, compiled and saved.

    The loss is ``task + aux_weight * aux + sum(weight * part)``; `task` and `aux` are the cross-entropies of
    the student's logits and auxiliary logits, resized to the labels, over pixels other than ``IGNORE_INDEX``.

    Args:
        student: Any network, plain or a `Network`. It stays as it is and is at hand as ``distiller.student``.
        terms: Distillation losses; the name of a loss stands for ``Term(name)``. Empty: the student is trained alone,
            and no teacher is needed.
        features: As in `Teacher`, for the student.
        logits: As in `Teacher`.
        mean: As in `Teacher`; None if your images are normalised already.
        std: As in `Teacher`.
        bgr: As in `Teacher`.
        size: As in `Teacher`.
        multiple: As in `Teacher`.
        teacher: Read at construction for its widths and classes, so that every name and shape is checked at once;
            where it has no ``layer4`` or ``head`` that a term reads, one is found for it, see `find_layers`. It does
            not become a part of the distiller. Several by name: a term says which it learns from, and without a name
            logits are compared with the mean of their probabilities. Without a teacher, a loss whose parameters depend
            on the teacher's width needs that width in the ``options`` of its term.
        aux_weight: Weight of the auxiliary cross-entropy, where the student has such logits. Default 0.4.

    Raises:
        ValueError: If a loss, a field, a weight or an option does not exist, or widths do not fit.

    Example:
        >>> student = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 1))
        >>> big = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 5, 1))
        >>> teacher = Teacher(big, features={"deep": "0"})
        >>> mimic = Term("af_dcd", layer="deep", weight={"mimic": 1.0, "contrast": 0.1},
        ...              options={"groups": 2, "pool_size": 1, "reduction": "mean"})
        >>> distiller = Distiller(student, terms=[Term("kd"), mimic], features={"deep": "0"}, teacher=teacher)
        >>> images, labels = torch.rand(2, 3, 16, 16), torch.randint(0, 5, (2, 16, 16))
        >>> sorted(distiller(images, labels, teacher(images)).parts)
        ['af_dcd.contrast', 'af_dcd.mimic', 'kd', 'task']
    """

    def __init__(
        self,
        student: nn.Module,
        terms: Term | str | Sequence[Term | str] = (),
        *,
        features: Mapping[str, str] | Sequence[str] | None = None,
        logits: LogitsOf | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        bgr: bool = False,
        size: tuple[int, int] | None = None,
        multiple: int | None = None,
        teacher: Teacher | Teachers | Mapping[str, Teacher] | None = None,
        aux_weight: float = 0.4,
    ) -> None:
        super().__init__()
        teachers = named_teachers(teacher)
        self.network = as_network(
            student, role="student", features=features, logits=logits, mean=mean, std=std, bgr=bgr, size=size,
            multiple=multiple,
        )  # fmt: skip
        self._given_network = isinstance(student, Network)
        self.aux_weight = aux_weight
        self.losses = nn.ModuleDict()
        self._known = nn.ModuleDict()  # by the term, where its teacher does not know all classes; without state
        self.bound: dict[str, BoundTerm] = {}  # terms after construction, by name
        for term in as_terms(terms):
            self._add(term, teachers)

    def _add(self, term: Term, teachers: Mapping[str, Teacher]) -> None:
        kind = term.loss if isinstance(term.loss, DistillationLoss) else loss_class(term)
        name = term.name or (term.loss if isinstance(term.loss, str) else type(term.loss).__name__)
        if name in self.bound or name in ("task", "aux") or "." in name:
            raise ArgumentError(
                f"`name` of a term must be new and without dots; got {name!r}. Give `name=` to the term."
            )
        layers = layer_pairs(kind.layer if term.layer is None else term.layer, several=kind.several, term=name)
        source = source_of(name, term.teacher, layers, teachers)
        classes = source.classes
        if classes is not None and len(classes.known) < classes.num_classes:
            self._known[name] = Known(classes)
        self.network = with_defaults(self.network, [one for one, _ in layers])
        if source.teacher is not None:
            source.teacher.network = with_defaults(source.teacher.network, [other for _, other in layers])
        try:
            known = [self._widths(name, pair, source) for pair in layers]
        except ArgumentError as error:
            if kind.several and len(layers) == 2 and term.layer == [one for one, _ in layers]:
                pair = f"[[{', '.join(one for one, _ in layers)}]]"
                raise ArgumentError(
                    f"{error} This loss takes several layers: a pair of student and teacher is {pair}."
                ) from None
            raise
        student_channels, teacher_channels = (_one_or_list([pair[role] for pair in known]) for role in (0, 1))
        sizes: dict[str, Width] = {
            "student_channels": student_channels,
            "teacher_channels": teacher_channels,
            "num_classes": self.network.num_classes if name not in self._known else source.num_classes,
        }
        loss = make_loss(term, name, sizes)
        self.bound[name] = BoundTerm(layers, part_weights(term, loss, name), source.name)
        self.losses[name] = loss

    def _widths(self, name: str, layers: tuple[str, str], source: Source) -> tuple[int | None, int | None]:
        """Channels of the student's and of the teacher's map; None where nobody knows yet."""
        student = width_of(self.network, layers[0], name)
        both_logits = all(layer in LOGITS for layer in layers)
        if source.teacher is None and source.num_classes is None:
            return student, student if both_logits else None
        if both_logits:
            student = len(source.classes.known) if source.classes and name in self._known else student
            check_classes(name, student, source.num_classes)
            check_names(name, self.network, source.teacher)
        if layers[1] in LOGITS or source.teacher is None:
            return student, source.num_classes
        return student, width_of(source.teacher.network, layers[1], name)

    def distillation_losses(self) -> dict[str, DistillationLoss]:
        """The losses by the names of their terms, as what they are; ``losses`` holds the same modules."""
        return cast(dict[str, DistillationLoss], dict(self.losses.items()))

    @property
    def student(self) -> nn.Module:
        """The student as it was given, with no trace of the teacher."""
        return self.network if self._given_network else self.network.module

    @property
    def layers(self) -> dict[str, list[tuple[str, str]]]:
        """What every term reads: pairs of the student's and the teacher's layer."""
        return {name: term.layers for name, term in self.bound.items()}

    @property
    def weights(self) -> dict[str, float]:
        """Weight of every part of the loss, by its name in ``StepOutput.parts``."""
        named = {part: weight for term in self.bound.values() for part, weight in term.weights.items()}
        return {"task": 1.0, "aux": self.aux_weight, **named}

    def forward(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        teacher_output: SegOutput | Mapping[str, SegOutput] | None = None,
        *,
        num_valid: Tensor | None = None,
    ) -> StepOutput:
        """One batch: student, task loss, every term, and their weighted sum.

        Args:
            images: (B, 3, H, W), RGB in [0, 1], or normalised already if ``mean`` and ``std`` are None.
            labels: (B, H, W) or (B, 1, H, W), integers of any type; None to learn from the teacher alone.
            teacher_output: What the teacher said to the same images, or what each of several did, by name; needed if
                there are terms.
            num_valid: Scalar, how many labelled pixels the task loss is divided by. Default: those in
                ``labels``. A loop over several processes or micro-batches gives the mean count over all of
                them, so that the average of their gradients is that of the whole batch.

        Raises:
            ValueError: If images or labels are of a wrong type or shape, a term has no teacher output, or an output
                has no such layer. Labels that are no classes are found on the CPU alone: a GPU would have to wait.
        """
        check_images(images)
        labels = class_numbers(labels, images)
        outputs = teacher_outputs(teacher_output)

        output: SegOutput = self.network(images)
        parts: dict[str, Tensor] = {}
        if labels is not None:
            check_labels(labels, output.logits.shape[1])
            parts["task"] = _cross_entropy(output.logits, labels, num_valid)
            if output.aux_logits is not None and self.aux_weight:
                parts["aux"] = _cross_entropy(output.aux_logits, labels, num_valid)
        parts |= self.distil(output, outputs, labels)
        if not parts:
            raise ArgumentError("a step must have labels or terms; got neither.")
        weights = self.weights
        loss = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
        return StepOutput(loss, parts, output)

    def condense(self, teacher: SegOutput | Mapping[str, SegOutput]) -> SegOutput | dict[str, SegOutput]:
        """What the terms need of a teacher's answer; the rest is left out, and spares memory while the student runs.

        A map that is compared in few directions is projected to them. A loop need not call it, as losses project
        what is wide: ``distiller(images, labels, distiller.condense(teacher(images)))``.

        Args:
            teacher: What the `Teacher` gave, or each of several by name.
        """
        outputs = {
            name: condensed(name, output, self.bound, self.distillation_losses())
            for name, output in teacher_outputs(teacher).items()
        }
        return outputs if isinstance(teacher, Mapping) else next(iter(outputs.values()))

    def distil(
        self, student: SegOutput, teacher: SegOutput | Mapping[str, SegOutput] | None, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The terms alone: every part of them, before its weight, for what student and teacher said.

        Args:
            student: What the student's `Network` gave.
            teacher: What the `Teacher` gave to the same images, or each of several by name.
            labels: (B, H, W), int64; needed if a term reads them.

        Raises:
            ValueError: As `forward`.
        """
        parts: dict[str, Tensor] = {}
        outputs = teacher_outputs(teacher)
        for name, term in self.bound.items():
            answer = answer_of(name, term.teacher, term.layers, outputs)
            parts |= self._distil(name, term, student, answer, labels)
        return parts

    def _distil(
        self, name: str, term: BoundTerm, student: SegOutput, teacher: SegOutput, labels: Tensor | None
    ) -> dict[str, Tensor]:
        loss = self.distillation_losses()[name]
        known = cast(Known, self._known[name]) if name in self._known else None
        students = [map_of(student, layer, name, "student") for layer, _ in term.layers]
        teachers = [taught_map(teacher, layer, name).detach() for _, layer in term.layers]
        if known is not None:
            students = [
                known.logits(one) if all(layer in LOGITS for layer in pair) else one
                for one, pair in zip(students, term.layers, strict=True)
            ]
        if loss.same_size:
            students = [match_size(s, t) for s, t in zip(students, teachers, strict=True)]
        inputs: list[Maps] = [students, teachers] if len(term.layers) > 1 else [students[0], teachers[0]]
        logits = read_logits(term.layers)
        if loss.uses_labels:
            if labels is None:
                raise ArgumentError(f"`labels` must be given for the term {name!r}; got None.")
            inputs.append(known.labels(labels) if known is not None and logits else labels)
        weight = pixel_weight(teacher, known, labels) if loss.weighs_pixels and logits else None
        value = loss(*inputs) if weight is None else loss(*inputs, weight=weight)
        values = value if loss.parts else (value,)
        if not isinstance(values, tuple) or len(values) != len(term.weights):
            raise ArgumentError(
                f"the loss of the term {name!r} must return a scalar for each of its parts, {', '.join(loss.parts)}; "
                f"got {type(value).__name__}."
            )
        return dict(zip(term.weights, values, strict=True))


def _one_or_list(widths: list[int | None]) -> Width:
    return widths if len(widths) > 1 else widths[0]


def _cross_entropy(logits: Tensor, labels: Tensor, num_valid: Tensor | None) -> Tensor:
    """Mean over labelled pixels, in float32; zero with a gradient where no pixel has a label."""
    with torch.autocast(logits.device.type, enabled=False):
        logits = resize_logits(logits.to(torch.promote_types(logits.dtype, torch.float32)), labels.shape[-2:])
        reduction = "none" if torch.are_deterministic_algorithms_enabled() else "sum"  # a GPU's sum adds in any order
        total = F.cross_entropy(logits, labels, ignore_index=IGNORE_INDEX, reduction=reduction).sum()
        count = (labels != IGNORE_INDEX).sum() if num_valid is None else num_valid
        return total / count.clamp_min(1)
