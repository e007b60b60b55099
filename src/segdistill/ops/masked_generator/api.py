"""The convolutions of the generator: chooses how each is computed."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from segdistill.ops.masked_generator.cpu.winograd import winograd_conv3x3
from segdistill.ops.masked_generator.folded import folded_conv, visible_conv

WIDE = 128  # channels from which the matrix products outweigh what the faster forms add; measured on a CPU


def masked_conv(
    x: Tensor,
    keep: Tensor,
    align_weight: Tensor,
    align_bias: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    impl: str = "auto",
) -> Tensor:
    """Project a map, hide positions, convolve: ``conv3x3(keep * conv1x1(x))``, with zero padding of one cell.

    Args:
        x: Student's map (B, S, H, W). Computed in its dtype, to which the parameters are cast.
        keep: (B, 1, H, W), factor of each position.
        align_weight: (C, S, 1, 1).
        align_bias: (C,).
        weight: (O, C, 3, 3).
        bias: (O,).
        impl: ``"reference"`` computes just that. Otherwise the projection is folded into the kernel where this saves
            multiplications, and, on a CPU, what is hidden is left out. The same numbers up to rounding.

    Returns:
        (B, O, H, W).
    """
    if impl != "reference":
        cpu = _for_cpu(x, weight)
        share = 4 / 9 if cpu else 1.0  # of a 3x3 convolution's multiplications that are done
        positions = keep.numel()
        if cpu and (shown := int(keep.count_nonzero())) < share * positions:
            fold = _folding_pays(shown, 1.0, align_weight, extra=len(weight) ** 2 / 4)
            return visible_conv(x, keep, *(p.to(x.dtype) for p in (align_weight, align_bias, weight, bias)), fold=fold)
        if _folding_pays(positions, share, align_weight):
            return folded_conv(x, keep, align_weight, align_bias, weight, bias, winograd=cpu)
    projected = F.conv2d(x, align_weight.to(x.dtype), align_bias.to(x.dtype))
    return conv3x3(projected * keep, weight, bias, impl=impl)


def conv3x3(x: Tensor, weight: Tensor, bias: Tensor, *, impl: str = "auto") -> Tensor:
    """Convolve (B, I, H, W) with (O, I, 3, 3) and zero padding of one cell; the parameters are cast to x's dtype.

    On a CPU, wide maps go through Winograd's algorithm unless ``impl="reference"``: the same numbers up to rounding.
    """
    weight, bias = weight.to(x.dtype), bias.to(x.dtype)
    if impl != "reference" and _for_cpu(x, weight):
        return winograd_conv3x3(x, weight, bias)
    return F.conv2d(x, weight, bias, padding=1)


def _for_cpu(x: Tensor, weight: Tensor) -> bool:
    """Whether to take the forms for a CPU.

    A GPU multiplies by its tensor cores, in a convolution by default. torch's compiler would unroll their loops.
    """
    exact = x.dtype in (torch.float32, torch.float64)
    return x.device.type == "cpu" and exact and min(weight.shape[:2]) >= WIDE and not torch.compiler.is_compiling()


def _folding_pays(positions: int, share: float, align_weight: Tensor, extra: float = 0.0) -> bool:
    """Whether composing the kernel costs less than it saves, in multiplications by 9 C (O = C).

    Args:
        positions: How many the convolution reads.
        share: Of its multiplications that are done.
        align_weight: (C, S, 1, 1).
        extra: What the plain form costs beside. `visible_conv` lays the whole kernel out anew then, and its gradient,
            which takes as long as C^2 / 4 of these multiplications; measured on a CPU.
    """
    channels, student = align_weight.shape[:2]
    plain = positions * (student / 9 + share * channels) + extra
    return plain > positions * share * student + math.prod((channels, student))
