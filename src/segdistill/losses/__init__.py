"""Distillation losses, one method a file.

A loss takes the student's tensor and the teacher's, both (B, C, H, W), and returns an unweighted scalar, or a
named tuple of scalars where one computation feeds several weights. Each class says what it needs:

- ``on``: ``"logits"`` or ``"features"``, what it reads unless told otherwise;
- ``parts``: the names of its scalars, or ``()`` for a single one;
- ``uses_labels``: whether ``forward`` takes the labels (B, H, W) as third argument;
- ``student_channels, teacher_channels`` as first constructor parameters where it has weights of its own.
"""

from torch import nn

from segdistill.losses.af_dcd import AfDCDLoss, AfDCDTerms
from segdistill.losses.kd import KDLoss

LOSSES: dict[str, type[nn.Module]] = {
    "af_dcd": AfDCDLoss,
    "kd": KDLoss,
}
"""Every loss by the name that recipes and terms use."""

__all__ = ["LOSSES", "AfDCDLoss", "AfDCDTerms", "KDLoss"]
