"""mIoU and its relatives, from one int64 confusion matrix over the whole set.

Never an average over images: the mean of per-image IoU is another number, and not the one in any table.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from segdistill.types import IGNORE_INDEX
from segdistill.util import ArgumentError


class Scores(NamedTuple):
    """Scores in [0, 1].

    Attributes:
        miou: Mean of ``per_class_iou`` over the classes that count.
        pixel_accuracy: Share of labelled pixels that are right.
        per_class_iou: One value per class; None for a class that occurs in neither labels nor predictions.
    """

    miou: float
    pixel_accuracy: float
    per_class_iou: list[float | None]


def confusion_matrix(prediction: Tensor, target: Tensor, num_classes: int) -> Tensor:
    """Count pixels by true class (row) and predicted class (column), without waiting for the device.

    Args:
        prediction: Class ids in [0, num_classes), any shape.
        target: Train ids, same shape; ``IGNORE_INDEX`` does not count.
        num_classes: K.

    Returns:
        (K, K) int64 on the device of ``prediction``.

    Example:
        >>> confusion_matrix(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 255]), 2).tolist()
        [[1, 1], [0, 0]]
    """
    cell = torch.where(target == IGNORE_INDEX, num_classes**2, num_classes * target + prediction).flatten()
    # Neither a boolean index nor `bincount`: both make the host wait for a size.
    counts = torch.zeros(num_classes**2 + 1, dtype=torch.int64, device=cell.device)
    return counts.scatter_add_(0, cell, torch.ones_like(cell))[:-1].view(num_classes, num_classes)


def scores(confusion: Tensor, *, absent: str = "skip") -> Scores:
    """Turn a confusion matrix into scores.

    Args:
        confusion: (K, K) counts, rows are the truth.
        absent: What a class that occurs in neither labels nor predictions does to the mean: ``"skip"`` leaves
            it out; ``"zero"`` counts it as 0, as the published COCO-Stuff averages over 182 ids do.

    Raises:
        ValueError: If ``absent`` is neither.
    """
    if absent not in ("skip", "zero"):
        raise ArgumentError(f"`absent` must be 'skip' or 'zero'; got {absent!r}.")
    counts = confusion.double().cpu()
    hits = counts.diagonal()
    union = counts.sum(0) + counts.sum(1) - hits
    iou = hits / union.clamp_min(1)
    counted = union > 0 if absent == "skip" else torch.ones_like(union, dtype=torch.bool)
    return Scores(
        miou=(iou[counted].sum() / counted.sum().clamp_min(1)).item(),
        pixel_accuracy=(hits.sum() / counts.sum().clamp_min(1)).item(),
        per_class_iou=[
            value if present else None for value, present in zip(iou.tolist(), (union > 0).tolist(), strict=True)
        ],
    )
