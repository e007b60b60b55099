"""Scores that are functions of a confusion matrix."""

from segdistill.metrics.confusion import Scores, confusion_matrix, gap_closed, scores

__all__ = ["Scores", "confusion_matrix", "gap_closed", "scores"]
