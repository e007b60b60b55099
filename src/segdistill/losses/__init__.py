"""Distillation losses, one method a file; each is a `DistillationLoss`, which says what it reads and returns."""

from segdistill.losses.acam import ACAMLoss
from segdistill.losses.af_dcd import AfDCDLoss, AfDCDTerms
from segdistill.losses.at import ATLoss
from segdistill.losses.base import DistillationLoss, Maps, PlainLoss, Silence
from segdistill.losses.cirkd import CIRKDLoss
from segdistill.losses.common.directions import Basis, Directions
from segdistill.losses.common.resize import match_size
from segdistill.losses.cwd import CWDLoss
from segdistill.losses.dist import DISTLoss
from segdistill.losses.dsd import DSDLoss
from segdistill.losses.fitnet import FitNetLoss
from segdistill.losses.ifvd import IFVDLoss
from segdistill.losses.kd import KDLoss
from segdistill.losses.maskd import MasKDLoss
from segdistill.losses.methods import METHODS
from segdistill.losses.mgd import MGDLoss
from segdistill.losses.skd import SKDAdversarialLoss, SKDLoss
from segdistill.losses.table import LOSSES

__all__ = [
    "LOSSES",
    "METHODS",
    "ACAMLoss",
    "ATLoss",
    "AfDCDLoss",
    "AfDCDTerms",
    "Basis",
    "CIRKDLoss",
    "CWDLoss",
    "DISTLoss",
    "DSDLoss",
    "Directions",
    "DistillationLoss",
    "FitNetLoss",
    "IFVDLoss",
    "KDLoss",
    "MGDLoss",
    "Maps",
    "MasKDLoss",
    "PlainLoss",
    "SKDAdversarialLoss",
    "SKDLoss",
    "Silence",
    "match_size",
]


def __getattr__(name: str) -> type[DistillationLoss]:
    """The class of a loss that is in the table alone: to add one, nothing is to be written here."""
    for loss in LOSSES.values():
        if loss.__name__ == name:
            return loss
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
