"""Distiller: distillation around any two networks, inside anyone's training loop.

The teacher is an input of the distiller, never its child: it is not wrapped, trained, saved or counted.
Networks may be any ``nn.Module``. What is read from them is named, either by the feature names that our own
networks publish or by the dotted name of a layer, whose output a forward hook takes during the call and
which is removed right after it, so that the student stays a plain network.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from segdistill.distill.term import BoundTerm, Term, check_classes, loss_class, make_loss, part_weights, unsized_twin
from segdistill.networks import LogitsOf, Network, Teacher, as_network, resize_logits
from segdistill.types import IGNORE_INDEX, SegOutput, StepOutput
from segdistill.util import ArgumentError, nearest


class Distiller(nn.Module):
    """A student, its task loss and its distillation terms: the module that is wrapped, compiled and saved.

    The loss is ``task + aux_weight * aux + sum(weight * part)``; `task` and `aux` are the cross-entropies of
    the student's logits and auxiliary logits, resized to the labels, over pixels other than ``IGNORE_INDEX``.

    Args:
        student: Any network, plain or a `Network`. It stays as it is and is at hand as ``distiller.student``.
        terms: Distillation losses. Empty: the student is trained alone, and no teacher is needed.
        features: As in `Teacher`, for the student.
        logits: As in `Teacher`.
        mean: As in `Teacher`; None if your images are normalised already.
        std: As in `Teacher`.
        bgr: As in `Teacher`.
        teacher: Read at construction for its widths, so that every name and shape is checked at once; it
            does not become a part of the distiller. Without it, parameters of terms that depend on the
            teacher's width take shape at the first step.
        aux_weight: Weight of the auxiliary cross-entropy, where the student has such logits. Default 0.4.

    Raises:
        ValueError: If a loss, a field, a weight or an option does not exist, or widths do not fit.

    Example:
        >>> student = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 1))
        >>> big = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 5, 1))
        >>> teacher = Teacher(big, features={"deep": "0"})
        >>> mimic = Term("af_dcd", on="deep", weight={"mimic": 1.0, "contrast": 0.1},
        ...              options={"groups": 2, "pool_size": 1, "reduction": "mean"})
        >>> distiller = Distiller(student, terms=[Term("kd"), mimic], features={"deep": "0"}, teacher=teacher)
        >>> images, labels = torch.rand(2, 3, 16, 16), torch.randint(0, 5, (2, 16, 16))
        >>> sorted(distiller(images, labels, teacher(images)).parts)
        ['af_dcd.contrast', 'af_dcd.mimic', 'kd', 'task']
    """

    def __init__(
        self,
        student: nn.Module,
        terms: Sequence[Term] = (),
        *,
        features: Mapping[str, str] | Sequence[str] | None = None,
        logits: LogitsOf | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        bgr: bool = False,
        teacher: Teacher | None = None,
        aux_weight: float = 0.4,
    ) -> None:
        super().__init__()
        self.network = as_network(
            student, role="student", features=features, logits=logits, mean=mean, std=std, bgr=bgr
        )
        self._given_network = isinstance(student, Network)
        self.aux_weight = aux_weight
        self.losses = nn.ModuleDict()
        self._bound: dict[str, BoundTerm] = {}
        self._unsized: dict[str, Term] = {}
        for term in terms:
            self._add(term, teacher)

    def _add(self, term: Term, teacher: Teacher | None) -> None:
        kind = loss_class(term)
        name = term.name or (term.loss if isinstance(term.loss, str) else kind.__name__)
        if name in self._bound or name in ("task", "aux") or "." in name:
            raise ArgumentError(
                f"`name` of a term must be new and without dots; got {name!r}. Give `name=` to the term."
            )
        field = term.on or ("logits" if getattr(kind, "on", "logits") == "logits" else None)
        if field is None:
            raise ArgumentError(
                f"`on` of the term {name!r} must name a feature of `features=`; got None. "
                f"{nearest('', self.network.taps)}"
            )
        teacher_field = term.teacher_on or field
        student_channels = _width(self.network, field)
        teacher_channels = None if teacher is None else _width(teacher.network, teacher_field)
        loss = make_loss(term, kind, name, _sizes(student_channels, teacher_channels, self.network.num_classes))
        if loss is None:
            self._unsized[name] = term
            loss = unsized_twin(term, kind, name)
        weights = part_weights(term, loss, name)
        self.losses[name] = loss
        self._bound[name] = BoundTerm(field, teacher_field, weights, bool(getattr(loss, "uses_labels", False)))
        if field == "logits" == teacher_field and None not in (student_channels, teacher_channels):
            check_classes(name, student_channels, teacher_channels)

    @property
    def student(self) -> nn.Module:
        """The student as it was given, with no trace of the teacher."""
        return self.network if self._given_network else self.network.module

    @property
    def weights(self) -> dict[str, float]:
        """Weight of every part of the loss, by its name in ``StepOutput.parts``."""
        named = {part: weight for term in self._bound.values() for part, weight in term.weights.items()}
        return {"task": 1.0, "aux": self.aux_weight, **named}

    def forward(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        teacher_output: SegOutput | None = None,
        *,
        num_valid: Tensor | None = None,
    ) -> StepOutput:
        """One batch: student, task loss, every term, and their weighted sum.

        Args:
            images: (B, 3, H, W), RGB in [0, 1], or normalised already if ``mean`` and ``std`` are None.
            labels: (B, H, W) int64; None to learn from the teacher alone.
            teacher_output: What the teacher said to the same images; needed if there are terms.
            num_valid: Scalar, how many labelled pixels the task loss is divided by. Default: those in
                ``labels``. A loop over several processes or micro-batches gives the mean count over all of
                them, so that the average of their gradients is that of the whole batch.

        Raises:
            ValueError: If a term has no teacher output or the teacher's output has no such field.
        """
        output: SegOutput = self.network(images)
        parts: dict[str, Tensor] = {}
        if labels is not None:
            parts["task"] = _cross_entropy(output.logits, labels, num_valid)
            if output.aux_logits is not None and self.aux_weight:
                parts["aux"] = _cross_entropy(output.aux_logits, labels, num_valid)
        for name, term in self._bound.items():
            parts.update(self._distil(name, term, output, teacher_output, labels))
        if not parts:
            raise ArgumentError("a step must have labels or terms; got neither.")
        weights = self.weights
        loss = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
        return StepOutput(loss, parts, output)

    def _distil(
        self,
        name: str,
        term: BoundTerm,
        student: SegOutput,
        teacher: SegOutput | None,
        labels: Tensor | None,
    ) -> dict[str, Tensor]:
        if teacher is None:
            raise ArgumentError(
                f"`teacher_output` must be given for the term {name!r}; got None. Pass `teacher(images)`."
            )
        inputs = [
            _field(student, term.student_field, name, "student"),
            _field(teacher, term.teacher_field, name, "teacher").detach(),
        ]
        if name in self._unsized:
            self._size(name, _sizes(inputs[0].shape[1], inputs[1].shape[1], student.logits.shape[1]), student.logits)
        if term.uses_labels:
            if labels is None:
                raise ArgumentError(f"`labels` must be given for the term {name!r}; got None.")
            inputs.append(labels)
        value = self.losses[name](*inputs)
        values = value._asdict() if hasattr(value, "_asdict") else {"": value}
        return {f"{name}.{part}" if part else name: scalar for part, scalar in values.items()}

    def _size(self, name: str, sizes: dict[str, int | None], like: Tensor) -> None:
        """Give the parameters of a term their shapes, in place: an optimizer may hold them already."""
        term = self._unsized.pop(name)
        loss = make_loss(term, loss_class(term), name, sizes)
        assert loss is not None
        waiting = dict(self.losses[name].named_parameters())
        if waiting.keys() != dict(loss.named_parameters()).keys():
            raise ArgumentError(
                f"the parameters of the term {name!r} depend on widths that are known only now. Give `teacher=` to the "
                "Distiller, or the widths as `options` of the term."
            )
        for path, parameter in list(loss.named_parameters()):
            owner, _, leaf = path.rpartition(".")
            slot = waiting[path]
            assert isinstance(slot, UninitializedParameter)
            slot.materialize(parameter.shape, device=like.device, dtype=parameter.dtype)
            slot.data.copy_(parameter.data)
            setattr(loss.get_submodule(owner), leaf, slot)
        self.losses[name] = loss.to(like.device).train(self.training)


def _sizes(
    student_channels: int | None, teacher_channels: int | None, num_classes: int | None
) -> dict[str, int | None]:
    """What losses may ask for by parameter name."""
    return {"student_channels": student_channels, "teacher_channels": teacher_channels, "num_classes": num_classes}


def _width(network: Network, field: str) -> int | None:
    """Channels of a field; None where a probe could not tell."""
    if field == "logits":
        return network.num_classes
    if field not in network.taps:
        raise ArgumentError(
            f"`on` must be 'logits' or a feature of the {network.role}; got {field!r}. "
            f"{nearest(field, ['logits', *network.taps])} Name it in `features=`."
        )
    return network.channels.get(field)


def _field(output: SegOutput, field: str, term: str, role: str) -> Tensor:
    if field == "logits":
        return output.logits
    if field not in output.features:
        raise ArgumentError(
            f"the term {term!r} reads {field!r} from the {role}, whose output has no such feature. "
            f"{nearest(field, list(output.features))} Name it in the {role}'s `features=`."
        )
    return output.features[field]


def _cross_entropy(logits: Tensor, labels: Tensor, num_valid: Tensor | None) -> Tensor:
    """Mean over labelled pixels, in float32; zero with a gradient where no pixel has a label."""
    with torch.autocast(logits.device.type, enabled=False):
        logits = resize_logits(logits.to(torch.promote_types(logits.dtype, torch.float32)), labels.shape[-2:])
        total = F.cross_entropy(logits, labels, ignore_index=IGNORE_INDEX, reduction="sum")
        count = (labels != IGNORE_INDEX).sum() if num_valid is None else num_valid
        return total / count.clamp_min(1)
