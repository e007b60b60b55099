"""A student, its distillation terms and their weighted sum."""

from segdistill.distill.directions import fit_directions
from segdistill.distill.distiller import Distiller
from segdistill.distill.term import Term
from segdistill.distill.unread import unread_parameters

__all__ = [
    "Distiller",
    "Term",
    "fit_directions",
    "unread_parameters",
]
