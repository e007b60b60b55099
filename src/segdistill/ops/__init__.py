"""Pure tensor functions that have, or may get, a fused twin."""

from segdistill.ops.checks import (
    check_choice,
    check_count,
    check_map,
    check_not_negative,
    check_positive,
    check_ratio,
    check_together,
)
from segdistill.ops.dense_contrast.api import dense_contrast
from segdistill.ops.dense_contrast.options import Distance, Negatives, check_options
from segdistill.ops.impl import Impl, check_impl
from segdistill.ops.masked_generator.api import conv3x3, masked_conv
from segdistill.ops.precision import without_autocast, working_dtype
from segdistill.ops.squared_error.api import squared_error
from segdistill.ops.unit import unit

__all__ = [
    "Distance",
    "Impl",
    "Negatives",
    "check_choice",
    "check_count",
    "check_impl",
    "check_map",
    "check_not_negative",
    "check_options",
    "check_positive",
    "check_ratio",
    "check_together",
    "conv3x3",
    "dense_contrast",
    "masked_conv",
    "squared_error",
    "unit",
    "without_autocast",
    "working_dtype",
]
