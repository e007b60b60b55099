"""Knowledge distillation for semantic segmentation.

Public names load on first use, so that ``import segdistill`` and command-line help do not load torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from segdistill.util import lazy

__version__ = "0.1.0"

if TYPE_CHECKING:
    from segdistill import ops
    from segdistill.comparison import compare
    from segdistill.data import import_data
    from segdistill.deploy import export
    from segdistill.distill import Distiller, Term, fit_directions
    from segdistill.experiment import check, evaluate, init, prepare, profile, train
    from segdistill.losses import (
        LOSSES,
        ACAMLoss,
        AfDCDLoss,
        AfDCDTerms,
        ATLoss,
        CIRKDLoss,
        CWDLoss,
        DistillationLoss,
        DISTLoss,
        DSDLoss,
        FitNetLoss,
        IFVDLoss,
        KDLoss,
        MasKDLoss,
        MGDLoss,
        SKDAdversarialLoss,
        SKDLoss,
    )
    from segdistill.networks import Network, Teacher, Teachers, create_network, load_official, map_classes
    from segdistill.prediction import predict
    from segdistill.prediction.load import load  # past the door, where mypy sees it twice
    from segdistill.reports import report
    from segdistill.util import SegdistillError, Stopped

_HOMES = {
    "ACAMLoss": "segdistill.losses",
    "ATLoss": "segdistill.losses",
    "AfDCDLoss": "segdistill.losses",
    "AfDCDTerms": "segdistill.losses",
    "CIRKDLoss": "segdistill.losses",
    "CWDLoss": "segdistill.losses",
    "DISTLoss": "segdistill.losses",
    "DSDLoss": "segdistill.losses",
    "DistillationLoss": "segdistill.losses",
    "Distiller": "segdistill.distill",
    "FitNetLoss": "segdistill.losses",
    "IFVDLoss": "segdistill.losses",
    "KDLoss": "segdistill.losses",
    "LOSSES": "segdistill.losses",
    "MGDLoss": "segdistill.losses",
    "MasKDLoss": "segdistill.losses",
    "SKDAdversarialLoss": "segdistill.losses",
    "SKDLoss": "segdistill.losses",
    "SegdistillError": "segdistill.util",
    "Stopped": "segdistill.util",
    "Teacher": "segdistill.networks",
    "Teachers": "segdistill.networks",
    "Term": "segdistill.distill",
    "Network": "segdistill.networks",
    "check": "segdistill.experiment",
    "compare": "segdistill.comparison",
    "create_network": "segdistill.networks",
    "evaluate": "segdistill.experiment",
    "export": "segdistill.deploy",
    "fit_directions": "segdistill.distill",
    "import_data": "segdistill.data",
    "init": "segdistill.experiment",
    "load": "segdistill.prediction",
    "load_official": "segdistill.networks",
    "map_classes": "segdistill.networks",
    "ops": "segdistill.ops",
    "predict": "segdistill.prediction",
    "prepare": "segdistill.experiment",
    "profile": "segdistill.experiment",
    "report": "segdistill.reports",
    "train": "segdistill.experiment",
}

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
    "DistillationLoss",
    "Distiller",
    "FitNetLoss",
    "IFVDLoss",
    "KDLoss",
    "MGDLoss",
    "MasKDLoss",
    "Network",
    "SKDAdversarialLoss",
    "SKDLoss",
    "SegdistillError",
    "Stopped",
    "Teacher",
    "Teachers",
    "Term",
    "__version__",
    "check",
    "compare",
    "create_network",
    "evaluate",
    "export",
    "fit_directions",
    "import_data",
    "init",
    "load",
    "load_official",
    "map_classes",
    "ops",
    "predict",
    "prepare",
    "profile",
    "report",
    "train",
]

_load = lazy(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    """A public name; or the class of any other loss of the table, so that a new loss needs no line here."""
    if name.endswith("Loss") and name not in _HOMES:
        return getattr(importlib.import_module("segdistill.losses"), name)
    return _load(name)


def __dir__() -> list[str]:
    return sorted(__all__)
