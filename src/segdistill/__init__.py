"""Knowledge distillation for semantic segmentation.

Public names load on first use, so that ``import segdistill`` and command-line help do not load torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "AfDCDLoss": "segdistill.losses",
    "AfDCDTerms": "segdistill.losses",
    "Distiller": "segdistill.distill",
    "KDLoss": "segdistill.losses",
    "Teacher": "segdistill.distill",
    "Term": "segdistill.terms",
    "create_model": "segdistill.models",
    "load": "segdistill.build",
    "load_official": "segdistill.models",
    "ops": "segdistill.ops",
}

__all__ = [
    "AfDCDLoss",
    "AfDCDTerms",
    "Distiller",
    "KDLoss",
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
    from segdistill.distill import Distiller, Teacher
    from segdistill.losses import AfDCDLoss, AfDCDTerms, KDLoss
    from segdistill.models import create_model, load_official
    from segdistill.terms import Term


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'segdistill' has no attribute {name!r}")
    module = importlib.import_module(_HOMES[name])
    return module if _HOMES[name] == f"segdistill.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
