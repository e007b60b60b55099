"""Knowledge distillation for semantic segmentation.

Public names load on first use, so that ``import segdistill`` and command-line help do not load torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "ACAMLoss": "segdistill.losses",
    "ATLoss": "segdistill.losses",
    "AfDCDLoss": "segdistill.losses",
    "AfDCDTerms": "segdistill.losses",
    "CIRKDLoss": "segdistill.losses",
    "CWDLoss": "segdistill.losses",
    "DISTLoss": "segdistill.losses",
    "DSDLoss": "segdistill.losses",
    "Distiller": "segdistill.distill",
    "FitNetLoss": "segdistill.losses",
    "IFVDLoss": "segdistill.losses",
    "KDLoss": "segdistill.losses",
    "LOSSES": "segdistill.losses",
    "MGDLoss": "segdistill.losses",
    "MasKDLoss": "segdistill.losses",
    "SKDAdversarialLoss": "segdistill.losses",
    "SKDLoss": "segdistill.losses",
    "Teacher": "segdistill.teacher",
    "Term": "segdistill.terms",
    "create_model": "segdistill.models",
    "load": "segdistill.build",
    "load_official": "segdistill.models",
    "ops": "segdistill.ops",
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
    "Distiller",
    "FitNetLoss",
    "IFVDLoss",
    "KDLoss",
    "MGDLoss",
    "MasKDLoss",
    "SKDAdversarialLoss",
    "SKDLoss",
    "Teacher",
    "Term",
    "__version__",
    "create_model",
    "load",
    "load_official",
    "ops",
]

if TYPE_CHECKING:
    from segdistill import ops
    from segdistill.build import load
    from segdistill.distill import Distiller
    from segdistill.losses import (
        LOSSES,
        ACAMLoss,
        AfDCDLoss,
        AfDCDTerms,
        ATLoss,
        CIRKDLoss,
        CWDLoss,
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
    from segdistill.models import create_model, load_official
    from segdistill.teacher import Teacher
    from segdistill.terms import Term


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'segdistill' has no attribute {name!r}")
    module = importlib.import_module(_HOMES[name])
    return module if _HOMES[name] == f"segdistill.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
