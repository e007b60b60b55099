"""Scores of segmentation networks, and what can be said of their differences."""

from typing import TYPE_CHECKING

from segdistill.util import lazy

if TYPE_CHECKING:
    from segdistill.metrics.boundary import BOUNDARY_RULE, boundary_counts, boundary_scores, empty_boundary_counts
    from segdistill.metrics.confusion import Scores, confusion_matrix, scores
    from segdistill.metrics.differences import Paired, paired
    from segdistill.metrics.gap import gap_closed

__getattr__ = lazy(
    __name__,
    {
        "BOUNDARY_RULE": "segdistill.metrics.boundary",
        "Paired": "segdistill.metrics.differences",
        "Scores": "segdistill.metrics.confusion",
        "boundary_counts": "segdistill.metrics.boundary",
        "boundary_scores": "segdistill.metrics.boundary",
        "confusion_matrix": "segdistill.metrics.confusion",
        "empty_boundary_counts": "segdistill.metrics.boundary",
        "gap_closed": "segdistill.metrics.gap",
        "paired": "segdistill.metrics.differences",
        "scores": "segdistill.metrics.confusion",
    },
)

__all__ = [
    "BOUNDARY_RULE",
    "Paired",
    "Scores",
    "boundary_counts",
    "boundary_scores",
    "confusion_matrix",
    "empty_boundary_counts",
    "gap_closed",
    "paired",
    "scores",
]
