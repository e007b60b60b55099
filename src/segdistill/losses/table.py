"""The table of losses. A new loss is an import and a line here."""

from segdistill.losses.acam import ACAMLoss
from segdistill.losses.af_dcd import AfDCDLoss
from segdistill.losses.at import ATLoss
from segdistill.losses.base import DistillationLoss
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

LOSSES: dict[str, type[DistillationLoss]] = {
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
