"""Which form of a convolution runs here, and which multiplies least."""

import torch
from torch import Tensor

WIDE = 128  # channels from which the matrix products outweigh what the faster forms add; measured on a CPU


def why_not_winograd(x: Tensor) -> str | None:
    """What keeps the forms for a CPU from convolving ``x``, as a sentence; None where nothing does."""
    if x.device.type != "cpu":
        return f"there is none for the device {x.device.type!r}, where a plain convolution is the fastest"
    if x.dtype not in (torch.float32, torch.float64):
        return f"sums of Winograd's algorithm lose digits in {x.dtype}; it takes float32 and float64"
    if torch.compiler.is_compiling():
        return "torch's compiler would unroll its loops"
    return None


def too_narrow(weight: Tensor) -> str | None:
    """Why the forms for a CPU would not pay, as a sentence; None where they do."""
    return None if min(weight.shape[:2]) >= WIDE else f"it pays from {WIDE} channels on"


def folding_pays(positions: int, share: float, align_weight: Tensor, times: float = 1.0) -> bool:
    """Whether composing the kernel costs less than it saves, in multiplications by 9 C (O = C).

    Args:
        positions: How many the convolution reads.
        share: Of its multiplications that are done.
        align_weight: (C, S, 1, 1).
        times: How often the kernel is composed, forward and backward pass counted as one, or as much as that takes.
    """
    channels, student = align_weight.shape[:2]
    saved = positions * (student / 9 + share * (channels - student))
    return saved > times * channels * student
