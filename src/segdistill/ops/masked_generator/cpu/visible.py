"""A 1x1 convolution, a mask and a 3x3 convolution at the visible positions of a map alone, for a CPU.

What is hidden contributes nothing: each visible position's numbers are multiplied by the nine places of the kernel, or
of the kernel composed with the projection (see `folded`), and added to its nine neighbours. Exact up to rounding.
"""

from typing import Any

import torch
from torch import Tensor

from segdistill.ops.masked_generator.cpu.linear import linear, product

OUTPUTS = 256  # of a kernel, composed at a time


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
    """Compute the terms of visible positions: a matrix product for each of the kernel's nine places.

    Arguments as in `api.masked_conv`. ``fold``: compose the kernel, instead of projecting the visible positions.
    """
    batch, _, height, width = x.shape
    image, row, column = keep[:, 0].nonzero(as_tuple=True)  # waits for the device: not for a GPU
    shown = keep[image, 0, row, column][:, None]
    cells = x.permute(0, 2, 3, 1)[image, row, column]
    projection = align_weight[:, :, 0, 0]
    if fold:  # the bias as a further channel, which is one everywhere
        cells = torch.cat([cells, cells.new_ones(len(cells), 1)], dim=1)
        kernels: Tensor = _Compose.apply(weight, torch.cat([projection, align_bias[:, None]], dim=1))
    else:
        cells = product(cells, projection) + align_bias
        kernels = _by_place(weight)
    cells = shown * cells
    # One cell of margin on each side takes what falls outside the map.
    y = bias.expand(batch * (height + 2) * (width + 2), -1).clone()
    centre = (image * (height + 2) + row + 1) * (width + 2) + column + 1
    for place, kernel in enumerate(kernels.unbind()):  # the gradient of an index would be as large as all nine
        step = (place // 3 - 1) * (width + 2) + place % 3 - 1
        y.index_add_(0, centre - step, product(cells, kernel))
    return y.view(batch, height + 2, width + 2, -1)[:, 1:-1, 1:-1].permute(0, 3, 1, 2)


class _Compose(torch.autograd.Function):
    """(O, C, 3, 3) and (C, S) to (9, O, S), the product at each place.

    Done for some outputs at a time, whose kernels are laid out place by place for it: no copy of all of them is held.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, align: Tensor) -> Tensor:
        ctx.save_for_backward(weight, align)
        return torch.cat([_times(_by_place(some), align.T) for some in torch.split(weight, OUTPUTS)], dim=1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        weight, align = ctx.saved_tensors
        grad_weight, grad_align = torch.empty_like(weight), torch.zeros_like(align)
        for some, into, slope in zip(
            torch.split(weight, OUTPUTS),
            torch.split(grad_weight, OUTPUTS),
            torch.split(grad, OUTPUTS, dim=1),
            strict=True,
        ):
            slope = slope.contiguous()
            into.copy_(_times(slope, align).permute(1, 2, 0).reshape(into.shape))
            grad_align += linear(_by_place(some).flatten(0, 1).T, slope.flatten(0, 1).T)
        return grad_weight, grad_align


def _by_place(weight: Tensor) -> Tensor:
    """(O, C, 3, 3) to (9, O, C)."""
    return weight.flatten(2).permute(2, 0, 1).contiguous()


def _times(x: Tensor, weight: Tensor) -> Tensor:
    """(9, O, I) and (T, I) to (9, O, T)."""
    return linear(x.flatten(0, 1), weight).view(9, x.shape[1], -1)
