"""A 1x1 convolution, a mask and a 3x3 convolution as one 3x3 convolution of the student's map.

With a kernel W, a projection A x + b and a mask m, ``W * (m (A x + b)) = (W A) * (m x) + (W b) * m``: the composed
kernel reads the student's few channels instead of the teacher's many, and the projected map never exists. Composed anew
at every step, it passes gradients on to W, A and b. Exact up to rounding.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from segdistill.ops._linear import product
from segdistill.ops.masked_generator.winograd import winograd_conv3x3


def folded_conv(
    x: Tensor, keep: Tensor, align_weight: Tensor, align_bias: Tensor, weight: Tensor, bias: Tensor, *, winograd: bool
) -> Tensor:
    """Compute every position. Arguments as in `api.masked_conv`; ``winograd``: multiply less, for a CPU."""
    # As convolutions of the kernel, so that a GPU composes in the precision that is set for convolutions.
    kernel = F.conv2d(weight, align_weight.transpose(0, 1))
    of_mask = F.conv2d(weight, align_bias[None, :, None, None])
    convolve = winograd_conv3x3 if winograd else _conv3x3
    y = convolve(keep * x, kernel.to(x.dtype), bias.to(x.dtype))
    return y + F.conv2d(keep, of_mask.to(x.dtype), padding=1)


def visible_conv(
    x: Tensor,
    keep: Tensor,
    align_weight: Tensor,
    align_bias: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    fold: bool,
) -> Tensor:
    """Compute the terms of visible positions alone, for a CPU: a matrix product for each of the kernel's nine places.

    Arguments as in `api.masked_conv`. ``fold``: compose the kernel, instead of projecting the visible positions.
    """
    batch, _, height, width = x.shape
    image, row, column = keep[:, 0].nonzero(as_tuple=True)  # waits for the device: not for a GPU
    shown = keep[image, 0, row, column][:, None]
    cells = x.permute(0, 2, 3, 1)[image, row, column]
    kernels = weight.permute(2, 3, 0, 1).flatten(0, 2)  # (9 O, C)
    if fold:
        biases = (kernels @ align_bias).view(9, -1)
        kernels = product(kernels, align_weight[:, :, 0, 0].T)
    else:
        cells = product(cells, align_weight[:, :, 0, 0]) + align_bias
        biases = cells.new_zeros(9, 1)
    cells = shown * cells
    # One cell of margin on each side takes what falls outside the map.
    y = bias.expand(batch * (height + 2) * (width + 2), -1).clone()
    centre = (image * (height + 2) + row + 1) * (width + 2) + column + 1
    for place, (kernel, of_mask) in enumerate(zip(kernels.view(9, len(weight), -1), biases, strict=True)):
        step = (place // 3 - 1) * (width + 2) + place % 3 - 1
        y.index_add_(0, centre - step, product(cells, kernel) + shown * of_mask)
    return y.view(batch, height + 2, width + 2, -1)[:, 1:-1, 1:-1].permute(0, 3, 1, 2)


def _conv3x3(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.conv2d(x, weight, bias, padding=1)
