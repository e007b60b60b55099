"""Logits of a teacher that knows some of the student's classes: what is compared, and where."""

import torch
from torch import Tensor, nn

from segdistill.losses import match_size
from segdistill.networks import ClassMap
from segdistill.types import IGNORE_INDEX, SegOutput


class Known(nn.Module):
    """The student's side of a `ClassMap` that does not know all classes.

    Args:
        classes: Of the teacher.
    """

    index: Tensor
    table: Tensor

    def __init__(self, classes: ClassMap) -> None:
        super().__init__()
        table = torch.full((IGNORE_INDEX + 1,), IGNORE_INDEX, dtype=torch.int64)
        table[list(classes.known)] = torch.arange(len(classes.known))
        self.register_buffer("index", torch.tensor(classes.known, dtype=torch.int64), persistent=False)
        self.register_buffer("table", table, persistent=False)

    def logits(self, logits: Tensor) -> Tensor:
        """The student's scores of the classes that both know."""
        return logits.index_select(1, self.index)

    def labels(self, labels: Tensor) -> Tensor:
        """Labels among these classes; pixels of the others do not count."""
        return self.table[labels]


def pixel_weight(teacher: SegOutput, known: Known | None, labels: Tensor | None) -> Tensor | None:
    """How much each pixel of the teacher's logits counts, (B, h, w); None: fully.

    As much as the teacher is certain of it; not at all where the label is a class that it does not know.
    """
    if known is None or labels is None:
        return teacher.certainty
    meant = (labels == IGNORE_INDEX) | (known.labels(labels) != IGNORE_INDEX)
    size = teacher.logits.shape[-2:]
    counts = torch.nn.functional.interpolate(meant[:, None].float(), size=size, mode="nearest")[:, 0]
    if teacher.certainty is None:
        return counts
    return counts * match_size(teacher.certainty[:, None].float(), teacher.logits)[:, 0]
