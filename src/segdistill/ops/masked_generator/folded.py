"""A 1x1 convolution, a mask and a 3x3 convolution as one 3x3 convolution of the student's map, on any device.

With a kernel W, a projection A x + b and a mask m, ``W * (m (A x + b)) = (W A) * (m x) + (W b) * m``: the composed
kernel reads the student's few channels instead of the teacher's many, and the projected map never exists. Composed anew
at every step, it passes gradients on to W, A and b. Exact up to rounding.

The second term is a convolution of a single channel. A CPU does it beside, as more channels made it slower there. For a
GPU the mask is a channel of the map, since a library may serve a single one badly.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from segdistill.ops.masked_generator.cpu.winograd import winograd_conv3x3

ALIGNED = 8  # channels that tensor cores read at a time


def folded_conv(
    x: Tensor, keep: Tensor, align_weight: Tensor, align_bias: Tensor, weight: Tensor, bias: Tensor, *, winograd: bool
) -> Tensor:
    """Compute every position. Arguments as in `api.masked_conv`; ``winograd``: multiply less, for a CPU."""
    kernel, of_mask = (part.to(x.dtype) for part in _compose(align_weight, align_bias, weight))
    bias, x = bias.to(x.dtype), keep * x
    y = winograd_conv3x3(x, kernel, bias) if winograd else F.conv2d(x, kernel, bias, padding=1)
    return y + F.conv2d(keep, of_mask, padding=1)


def folded_conv_in_one(
    x: Tensor, keep: Tensor, align_weight: Tensor, align_bias: Tensor, weight: Tensor, bias: Tensor
) -> Tensor:
    """Compute what `folded_conv` computes, the mask as a further channel of the map."""
    more = ALIGNED - x.shape[1] % ALIGNED  # of which the kernel reads the first
    kernel = F.pad(torch.cat(_compose(align_weight, align_bias, weight), 1), (0, 0, 0, 0, 0, more - 1))
    masked = F.pad(x, (0, 0, 0, 0, 0, more), value=1.0) * keep
    return F.conv2d(masked, kernel.to(x.dtype), bias.to(x.dtype), padding=1)


def _compose(align_weight: Tensor, align_bias: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The kernels of the map, (O, S, 3, 3), and of the mask, (O, 1, 3, 3)."""
    # As convolutions of the kernel, so that a GPU composes in the precision that is set for convolutions.
    return F.conv2d(weight, align_weight.transpose(0, 1)), F.conv2d(weight, align_bias[None, :, None, None])
