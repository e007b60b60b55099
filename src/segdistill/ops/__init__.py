"""Pure tensor functions that have, or may get, a fused twin."""

from segdistill.ops.dense_contrast.api import dense_contrast

__all__ = ["dense_contrast"]
