"""Size matching for the losses: the one place where they resize a map or a label image."""

from torch import Tensor
from torch.nn import functional as F

from segdistill.util import ArgumentError


def match_size(student: Tensor, teacher: Tensor) -> Tensor:
    """Resize the student's map (B, C, h, w) to the teacher's height and width, bilinearly, if they differ."""
    size = teacher.shape[-2:]
    if student.shape[-2:] == size:
        return student
    return F.interpolate(student, size=size, mode="bilinear", align_corners=False)


def match_labels(labels: Tensor, teacher: Tensor) -> Tensor:
    """Resize labels (B, H, W) to the teacher's height and width by nearest neighbour, if they differ.

    Raises:
        ValueError: If the labels are not integers, or not of the teacher's images.
    """
    if labels.ndim != 3 or labels.shape[0] != teacher.shape[0] or labels.is_floating_point():
        raise ArgumentError(
            f"`labels` must be integers (B, H, W) for {teacher.shape[0]} images; "
            f"got {labels.dtype} of shape {tuple(labels.shape)}."
        )
    size = teacher.shape[-2:]
    if labels.shape[-2:] == size:
        return labels
    # `interpolate` takes no integers; label ids are far below 2^24 and survive float32.
    return F.interpolate(labels[:, None].float(), size=size, mode="nearest")[:, 0].to(labels.dtype)


def match_weight(weight: Tensor, teacher: Tensor) -> Tensor:
    """Resize the weights of pixels (B, H, W) to the teacher's height and width, bilinearly, if they differ.

    Raises:
        ValueError: If the weights are no floating-point numbers, or not of the teacher's images.
    """
    if weight.ndim != 3 or weight.shape[0] != teacher.shape[0] or not weight.is_floating_point():
        raise ArgumentError(
            f"`weight` must be floating-point numbers (B, H, W) for {teacher.shape[0]} images; "
            f"got {weight.dtype} of shape {tuple(weight.shape)}."
        )
    return match_size(weight[:, None].to(teacher.dtype), teacher)[:, 0].detach()
