"""A student, its distillation terms and their weighted sum."""

from segdistill.distill.directions import fit_directions
from segdistill.distill.distiller import Distiller
from segdistill.distill.term import Term

__all__ = [
    "Distiller",
    "Term",
    "fit_directions",
]
