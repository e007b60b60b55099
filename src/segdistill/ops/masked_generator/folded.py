"""A 1x1 convolution, a mask and a 3x3 convolution as one 3x3 convolution of the student's map, on any device.

With a kernel W, a projection A x + b and a mask m, ``W * (m (A x + b)) = (W A) * (m x) + (W b) * m``: the composed
kernel reads the student's few channels instead of the teacher's many, and the projected map never exists. Composed anew
at every step, it passes gradients on to W, A and b. Exact up to rounding.
"""

from torch import Tensor
from torch.nn import functional as F

from segdistill.ops.masked_generator.cpu.winograd import winograd_conv3x3


def folded_conv(
    x: Tensor, keep: Tensor, align_weight: Tensor, align_bias: Tensor, weight: Tensor, bias: Tensor, *, winograd: bool
) -> Tensor:
    """Compute every position. Arguments as in `api.masked_conv`; ``winograd``: multiply less, for a CPU."""
    # As convolutions of the kernel, so that a GPU composes in the precision that is set for convolutions.
    kernel = F.conv2d(weight, align_weight.transpose(0, 1))
    of_mask = F.conv2d(weight, align_bias[None, :, None, None])
    kernel, bias, x = kernel.to(x.dtype), bias.to(x.dtype), keep * x
    y = winograd_conv3x3(x, kernel, bias) if winograd else F.conv2d(x, kernel, bias, padding=1)
    return y + F.conv2d(keep, of_mask.to(x.dtype), padding=1)
