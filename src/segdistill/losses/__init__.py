"""Distillation losses, one method a file.

A loss takes the student's tensor and the teacher's, both (B, C, H, W), and returns an unweighted scalar, or a
named tuple of scalars where one computation feeds several weights. Each class says what it needs:

- ``on``: ``"logits"`` or ``"features"``, what it reads unless told otherwise;
- ``parts``: the names of its scalars, or ``()`` for a single one;
- ``uses_labels``: whether ``forward`` takes the labels (B, H, W) as third argument;
- ``published``: its published weight, or one for each part;
- ``student_channels, teacher_channels`` as first constructor parameters where it has weights of its own, and
  ``num_classes`` where it needs that;
- ``own_optimizer()`` where parameters of its own learn from another objective than the student's.
"""

from torch import nn

from segdistill.losses.acam import ACAMLoss
from segdistill.losses.af_dcd import AfDCDLoss, AfDCDTerms
from segdistill.losses.at import ATLoss
from segdistill.losses.cirkd import CIRKDLoss
from segdistill.losses.cwd import CWDLoss
from segdistill.losses.dist import DISTLoss
from segdistill.losses.dsd import DSDLoss
from segdistill.losses.fitnet import FitNetLoss
from segdistill.losses.ifvd import IFVDLoss
from segdistill.losses.kd import KDLoss
from segdistill.losses.maskd import MasKDLoss
from segdistill.losses.mgd import MGDLoss
from segdistill.losses.skd import SKDAdversarialLoss, SKDLoss

LOSSES: dict[str, type[nn.Module]] = {
    "acam": ACAMLoss,
    "af_dcd": AfDCDLoss,
    "at": ATLoss,
    "cirkd": CIRKDLoss,
    "cwd": CWDLoss,
    "dist": DISTLoss,
    "dsd": DSDLoss,
    "fitnet": FitNetLoss,
    "ifvd": IFVDLoss,
    "kd": KDLoss,
    "maskd": MasKDLoss,
    "mgd": MGDLoss,
    "skd": SKDLoss,
    "skd_adversarial": SKDAdversarialLoss,
}
"""Every loss by the name that recipes and terms use."""

__all__ = [
    "LOSSES",
    "ACAMLoss",
    "ATLoss",
    "AfDCDLoss",
    "AfDCDTerms",
    "CIRKDLoss",
    "CWDLoss",
    "DISTLoss",
    "DSDLoss",
    "FitNetLoss",
    "IFVDLoss",
    "KDLoss",
    "MGDLoss",
    "MasKDLoss",
    "SKDAdversarialLoss",
    "SKDLoss",
]
