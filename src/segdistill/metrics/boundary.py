"""Quality of contours: boundary IoU and boundary F per class, from integer counts over the whole set.

Both look at label maps and not at one mask per class, so that their cost does not grow with the classes. The
definitions, with what an ignored pixel does to them, stand in docs/metrics.md.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from segdistill.types import IGNORE_INDEX
from segdistill.util import ArgumentError

BAND = 0.02
TOLERANCE = 0.0075
BOUNDARY_RULE = (
    f"boundary IoU within {BAND:.0%} of the image diagonal, boundary F within {TOLERANCE:.2%}; counted over the set, "
    "mean over classes with a contour; neither ignored pixels nor the image's border make one"
)
"""Stands beside the numbers."""

_COLUMNS = 6
_NOTHING = -1  # in a map of contours: no contour here


class BoundaryScores(NamedTuple):
    """Scores in [0, 1].

    Attributes:
        iou: Mean of ``per_class_iou`` over the classes that count.
        f: Mean of ``per_class_f`` over the classes that count.
        per_class_iou: Boundary IoU of each class; None for a class without a contour in labels and predictions.
        per_class_f: Boundary F of each class; None for a class without a contour too.
    """

    iou: float
    f: float
    per_class_iou: list[float | None]
    per_class_f: list[float | None]


def boundary_counts(
    prediction: Tensor, target: Tensor, num_classes: int, *, band: float = BAND, tolerance: float = TOLERANCE
) -> Tensor:
    """Count, per class, pixels near contours and contour pixels that have a counterpart.

    Counts of batches and of processes add up to those of the whole set, as confusion matrices do.

    Args:
        prediction: (B, H, W), class ids in [0, num_classes).
        target: (B, H, W), train ids; ``IGNORE_INDEX`` does not count, and what is predicted there changes nothing.
        num_classes: K.
        band: How far from the contour boundary IoU looks, as a share of the image's diagonal; rounded to whole
            pixels, at least 1. Default 0.02 (Cheng et al., CVPR 2021).
        tolerance: How far a contour may be off for boundary F, as a share of the diagonal; rounded up to whole
            pixels, as in the code of DAVIS (Perazzi et al., CVPR 2016). Default 0.0075 (Csurka et al., BMVC 2013).

    Returns:
        (K, 6) int64 on the device of ``prediction``. Columns: intersection and union of the bands; predicted
        contour pixels that lie near a true one, and all; true contour pixels that lie near a predicted one, and
        all.

    Raises:
        ValueError: If the maps are not (B, H, W) of one shape, or a share is not a finite number above 0.

    Example:
        >>> target = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]).expand(1, 8, 8)
        >>> prediction = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1]).expand(1, 8, 8)  # off by one pixel
        >>> boundary_counts(prediction, target, 2).tolist()
        [[0, 16, 8, 8, 8, 8], [0, 16, 8, 8, 8, 8]]
    """
    if prediction.ndim != 3 or prediction.shape != target.shape:
        raise ArgumentError(
            "`prediction` and `target` must be class ids (B, H, W) of one shape; "
            f"got {tuple(prediction.shape)} and {tuple(target.shape)}."
        )
    for name, share in (("band", band), ("tolerance", tolerance)):
        if not 0 < share < math.inf:
            raise ArgumentError(f"`{name}` must be a finite share of the diagonal above 0; got {share!r}.")
    diagonal = math.hypot(*target.shape[-2:])
    known = target != IGNORE_INDEX
    guess, truth = (torch.where(known, ids, num_classes).to(torch.int16) for ids in (prediction, target))
    counts = [
        *_band_counts(guess, truth, num_classes, max(1, round(band * diagonal))),
        *_contour_counts(guess, truth, num_classes, math.ceil(tolerance * diagonal)),
    ]
    return torch.stack(counts, dim=1)


def empty_boundary_counts(num_classes: int) -> Tensor:
    """Counts of no image at all, to add to: (K, 6) int64 zeros."""
    return torch.zeros(num_classes, _COLUMNS, dtype=torch.int64)


def boundary_scores(counts: Tensor) -> BoundaryScores:
    """Turn counts into scores.

    Args:
        counts: (K, 6), a sum of what `boundary_counts` returns.

    Returns:
        Boundary IoU is intersection over union of the bands; boundary F is the harmonic mean of the shares of
        predicted and of true contour pixels that have a counterpart. Means are 0 where no class counts.

    Example:
        >>> scores = boundary_scores(torch.tensor([[2, 4, 3, 4, 1, 2], [0, 0, 0, 0, 0, 0]]))
        >>> scores.per_class_iou, scores.per_class_f
        ([0.5, None], [0.6, None])
    """
    iou: list[float | None] = []
    f: list[float | None] = []
    for common, union, right, predicted, found, true in counts.tolist():
        iou.append(common / union if union else None)
        precision, recall = right / max(predicted, 1), found / max(true, 1)
        harmonic = 2 * precision * recall / (precision + recall) if precision and recall else 0.0
        f.append(harmonic if predicted or true else None)
    return BoundaryScores(_mean(iou), _mean(f), iou, f)


def _mean(values: list[float | None]) -> float:
    present = [value for value in values if value is not None]
    return sum(present) / max(len(present), 1)


def _band_counts(guess: Tensor, truth: Tensor, num_classes: int, distance: int) -> list[Tensor]:
    """Intersection and union, per class, of the pixels within ``distance`` of their class's contour."""
    near_guess, near_truth = (_near_another_class(ids, num_classes, distance) for ids in (guess, truth))
    common = _per_class(truth[near_guess & near_truth & (guess == truth)], num_classes)
    both = _per_class(guess[near_guess], num_classes) + _per_class(truth[near_truth], num_classes)
    return [common, both - common]


def _contour_counts(guess: Tensor, truth: Tensor, num_classes: int, tolerance: int) -> list[Tensor]:
    """Predicted contour pixels with a counterpart, and all; the same for true ones; per class."""
    # A counterpart may hide under an ignored pixel, so nobody can say whether a contour beside it is right.
    judged = _window_max((truth == num_classes).to(torch.int16), tolerance) == 0
    contours = [
        torch.where(_near_another_class(ids, num_classes, 1), ids, _NOTHING).to(torch.int16) for ids in (guess, truth)
    ]
    counts = []
    for mine, other in (contours, contours[::-1]):
        asked = torch.where(judged, mine, _NOTHING)
        counts += [
            _per_class(_labels_found(asked, other, tolerance), num_classes),
            _per_class(asked[asked != _NOTHING], num_classes),
        ]
    return counts


def _near_another_class(ids: Tensor, num_classes: int, distance: int) -> Tensor:
    """Pixels with a pixel of another class in the square of ``2 * distance + 1`` around them.

    Ignored pixels, which carry the id ``num_classes``, and what is beyond the image are no class.
    """
    known = ids != num_classes
    highest = _window_max(torch.where(known, ids, -1), distance)
    lowest = -_window_max(-ids, distance)  # an ignored pixel has the highest id already
    return known & ((highest != ids) | (lowest != ids))


def _window_max(values: Tensor, radius: int) -> Tensor:
    """Maximum over the square of ``2 * radius + 1`` around each pixel of (B, H, W), as far as it is in the image.

    One axis after the other. What has been gathered is shifted by its own width, so that the reach triples with
    every pass.
    """
    for dim in (-1, -2):
        length = values.shape[dim]
        reach, goal = 0, min(radius, length - 1)
        while reach < goal:
            step = min(2 * reach + 1, goal - reach)
            rest = length - step
            wider = values.clone()
            left, right = wider.narrow(dim, 0, rest), wider.narrow(dim, step, rest)
            torch.maximum(left, values.narrow(dim, step, rest), out=left)
            torch.maximum(right, values.narrow(dim, 0, rest), out=right)
            values, reach = wider, reach + step
    return values


def _labels_found(contour: Tensor, other: Tensor, radius: int) -> Tensor:
    """Labels of the pixels of ``contour`` whose label ``other`` holds within a Euclidean distance of ``radius``.

    Looks up contour pixels alone, ring by ring, and drops those that are found.
    """
    offset = torch.arange(-radius, radius + 1, device=contour.device)
    distance = (offset[:, None].square() + offset.square()).double().sqrt().ceil()
    haystack = F.pad(other, (radius,) * 4, value=_NOTHING)
    width = haystack.shape[-1]
    shift = offset[:, None] * width + offset
    image, row, column = (contour != _NOTHING).nonzero(as_tuple=True)
    label = contour[image, row, column]
    position = (image * haystack.shape[-2] + row + radius) * width + column + radius
    haystack = haystack.flatten()
    found = []
    for ring in range(radius + 1):
        hit = (haystack[position[:, None] + shift[distance == ring]] == label[:, None]).any(dim=1)
        found.append(label[hit])
        position, label = position[~hit], label[~hit]
    return torch.cat(found)


def _per_class(labels: Tensor, num_classes: int) -> Tensor:
    return labels.long().bincount(minlength=num_classes)
