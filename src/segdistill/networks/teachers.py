"""Several teachers that are called as one, and their mean."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segdistill.networks.classmap import ClassMap
from segdistill.networks.teacher import Teacher
from segdistill.types import SegOutput
from segdistill.util import ArgumentError

MEAN: Final = "mean"
"""Name of the teacher whose class probabilities are the mean over all teachers."""

ALONE: Final = "teacher"
"""Name of a teacher that is the only one."""


class Teachers(nn.Module):
    """Teachers by name; a call gives the answer of each, as a `Distiller` takes it.

    Args:
        teachers: By name. ``mean`` is taken: it is the mean of all, for terms on logits.

    Example:
        >>> teachers = Teachers({name: Teacher(nn.Conv2d(3, 5, 1)) for name in ("one", "two")})
        >>> sorted(teachers(torch.rand(1, 3, 8, 8)))
        ['one', 'two']
    """

    def __init__(self, teachers: Mapping[str, Teacher]) -> None:
        super().__init__()
        for name, teacher in teachers.items():
            if not isinstance(teacher, Teacher):
                raise ArgumentError(
                    f"`teachers` must hold a Teacher as {name!r}; got {type(teacher).__name__}. "
                    "Wrap the network: Teacher(network)."
                )
            if not isinstance(name, str) or name == MEAN or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
                raise ArgumentError(
                    f"`teachers` must have names of letters, digits, - and _, other than {MEAN!r}; got {name!r}."
                )
        if not teachers:
            raise ArgumentError("`teachers` must hold a teacher; got none.")
        self._names = list(teachers)
        self._teachers = nn.ModuleList(teachers.values())

    @property
    def named(self) -> dict[str, Teacher]:
        """The teachers by name."""
        return dict(zip(self._names, self._teachers, strict=True))  # type: ignore[arg-type]

    def train(self, mode: bool = True) -> "Teachers":
        """Stay in evaluation mode, whatever a surrounding loop asks for."""
        return super().train(False)

    def forward(self, image: Tensor) -> dict[str, SegOutput]:
        """What each says of the images."""
        return {name: teacher(image) for name, teacher in self.named.items()}

    def segment(self, image: Tensor) -> Tensor:
        """Scores of all classes by the mean of those teachers that know classes, (B, K, h, w)."""
        knowing = [teacher for teacher in self.named.values() if teacher.num_classes != 0]
        logits = mean_output([teacher(image) for teacher in knowing]).logits
        classes = knowing[0].classes
        return logits if classes is None else classes.widen(logits)


def named_teachers(teacher: Teacher | Teachers | Mapping[str, Teacher] | None) -> dict[str, Teacher]:
    """Teachers by name, of which one alone is called ``teacher``.

    Raises:
        ArgumentError: If it is none of these.
    """
    if teacher is None:
        return {}
    if isinstance(teacher, Teacher):
        return {ALONE: teacher}
    if isinstance(teacher, Mapping):
        teacher = Teachers(teacher)
    if isinstance(teacher, Teachers):
        return teacher.named
    raise ArgumentError(
        f"`teacher` must be a Teacher, or several by name; got {type(teacher).__name__}. "
        "Wrap the network: Teacher(network)."
    )


def classes_of_mean(teachers: Mapping[str, Teacher]) -> tuple[ClassMap | None, int | None]:
    """The class map and number of classes of the mean of teachers; those without classes do not count.

    Raises:
        ArgumentError: If no teacher knows classes, or they know different ones of the student's.
    """
    knowing = {name: teacher for name, teacher in teachers.items() if teacher.num_classes != 0}
    if not knowing:
        raise ArgumentError("the mean of the teachers must have classes; all of them teach features only.")
    known = {
        None if t.classes is None or len(t.classes.known) == t.classes.num_classes else t.classes.known
        for t in knowing.values()
    }
    if len(known) > 1 or len({t.num_classes for t in knowing.values()} - {None}) > 1:
        raise ArgumentError(
            f"the mean of the teachers {', '.join(knowing)} must be over the same classes; they know different ones. "
            "Let each term name its own: `teacher: NAME`."
        )
    first = next(iter(knowing.values()))
    return first.classes, first.num_classes


def mean_output(outputs: Sequence[SegOutput]) -> SegOutput:
    """The mean of class probabilities as logits, at the size of the first; it has no features.

    Answers of no classes do not count. It is as certain as they are on average; one that does not say so is certain.
    """
    outputs = [output for output in outputs if output.logits.shape[1]]
    if len(outputs) == 1:
        return outputs[0]._replace(features={})
    size = outputs[0].logits.shape[-2:]
    aux = [output.aux_logits for output in outputs if output.aux_logits is not None]
    certainties = [output.certainty for output in outputs if output.certainty is not None]
    certainty = None
    if certainties:
        alike = [F.interpolate(x[:, None], size, mode="bilinear", align_corners=False) for x in certainties]
        certainty = (torch.stack(alike).sum(0)[:, 0] + len(outputs) - len(alike)) / len(outputs)
    logits = _mean([output.logits for output in outputs])
    return SegOutput(logits, _mean(aux) if len(aux) == len(outputs) else None, {}, certainty)


def _mean(logits: Sequence[Tensor]) -> Tensor:
    """Logs of the mean of probabilities, in float32 or more, at the size of the first."""
    with torch.autocast(logits[0].device.type, enabled=False):
        size = logits[0].shape[-2:]
        logs = []
        for one in logits:
            precise = one.to(torch.promote_types(one.dtype, torch.float32))
            if precise.shape[-2:] != size:
                precise = F.interpolate(precise, size, mode="bilinear", align_corners=False)
            logs.append(precise.log_softmax(1))
        return torch.stack(logs).logsumexp(0) - math.log(len(logs))
