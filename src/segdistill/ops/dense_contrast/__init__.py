"""Contrast between the cells of a student map and of a teacher map, patch by patch."""

from segdistill.ops.dense_contrast.api import dense_contrast

__all__ = ["dense_contrast"]
