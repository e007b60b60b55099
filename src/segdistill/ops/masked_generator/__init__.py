"""The generator that restores a masked map: its convolutions, cheaper and with the same numbers."""

from segdistill.ops.masked_generator.api import conv3x3, masked_conv

__all__ = ["conv3x3", "masked_conv"]
