"""Squared error of two maps, without keeping their difference."""

from segdistill.ops.squared_error.api import squared_error

__all__ = ["squared_error"]
