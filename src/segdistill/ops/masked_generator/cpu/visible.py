"""A 1x1 convolution, a mask and a 3x3 convolution at the visible positions of a map alone, for a CPU.

What is hidden contributes nothing: each visible position's numbers are multiplied by the nine places of the kernel, or
of the kernel composed with the projection (see `folded`), and added to its nine neighbours. Exact up to rounding.
"""

from typing import Any

import torch
from torch import Tensor

from segdistill.ops.masked_generator.cpu.linear import linear, product

OUTPUTS = 64  # of the kernel at a time, which are laid out place by place


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
    """Compute the terms of visible positions: a matrix product for the kernel's nine places.

    Saved for the backward pass are the parameters and the visible positions' numbers, S + 1 each or, unfolded, C. A
    composed kernel is not kept: the backward pass composes it again. Beside its results it holds `OUTPUTS` rows of the
    kernel and of its gradient, and 9 `OUTPUTS` numbers for every visible position, a few times each.

    Arguments as in `api.masked_conv`. ``fold``: compose the kernel, instead of projecting the visible positions.
    """
    batch, _, height, width = x.shape
    image, row, column = keep[:, 0].nonzero(as_tuple=True)  # waits for the device: not for a GPU
    shown = keep[image, 0, row, column][:, None]
    cells = x.permute(0, 2, 3, 1)[image, row, column]
    projection = align_weight[:, :, 0, 0]
    if fold:  # the bias as a further channel, which is one everywhere
        cells = torch.cat([cells, cells.new_ones(len(cells), 1)], dim=1)
        projection = torch.cat([projection, align_bias[:, None]], dim=1)
    else:
        cells = product(cells, projection) + align_bias
    steps = 1 - torch.arange(3, device=x.device)  # a place of the kernel takes its cell to the place opposite
    rows, columns = row[:, None, None] + steps[:, None], column[:, None, None] + steps
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    count = batch * height * width
    spots = ((image[:, None, None] * height + rows) * width + columns).where(inside, count).flatten(1)
    y: Tensor = _Visible.apply(shown * cells, projection if fold else None, weight, bias, spots, count)
    return y.view(batch, height, width, -1).permute(0, 3, 1, 2)


class _Visible(torch.autograd.Function):
    """Of numbers (n, I) of positions, the (count, O) that they add at ``spots`` (n, 9); the spot ``count`` is outside.

    ``projection`` (C, I) is what the kernel (O, C, 3, 3) is composed with; None: the positions are projected already.
    """

    @staticmethod
    def forward(
        ctx: Any, cells: Tensor, projection: Tensor | None, weight: Tensor, bias: Tensor, spots: Tensor, count: int
    ) -> Tensor:
        ctx.save_for_backward(cells, projection, weight, spots)
        y = bias.repeat(count + 1, 1)
        for some in _some(weight):
            rows = _by_place(weight[some])
            terms = linear(cells, _compose(rows, projection)).view(len(cells), 9, len(rows) // 9)
            for place in range(9):
                y[:, some].index_add_(0, spots[:, place], terms[:, place])
        return y[:count]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        cells, projection, weight, spots = ctx.saved_tensors
        grads = [
            torch.zeros_like(x) if wanted else None
            for x, wanted in zip((cells, projection, weight), ctx.needs_input_grad, strict=False)
        ]
        of_cells, of_projection, of_weight = grads
        where, outside = spots.flatten(), (spots == len(grad)).flatten()
        where = where.masked_fill(outside, 0)

        def differentiate(some: slice) -> None:  # a function, so that nothing of other rows is held beside
            rows = _by_place(weight[some])
            slope = grad[:, some].index_select(0, where).masked_fill_(outside[:, None], 0).view(len(cells), len(rows))
            if of_cells is not None:
                of_cells.add_(linear(slope, _compose(rows, projection).T))
            if of_projection is None and of_weight is None:
                return
            of_kernel = linear(slope.T, cells.T)
            if of_projection is not None:
                of_projection.add_(linear(of_kernel.T, rows.T).T)  # this way round the smaller one is copied
            if of_weight is not None:
                laid_out = of_kernel if projection is None else linear(of_kernel, projection)
                into = of_weight[some].permute(2, 3, 0, 1)
                into.copy_(laid_out.view(into.shape))

        for some in _some(weight):
            differentiate(some)
        return *grads, grad.sum(0), None, None


def _compose(rows: Tensor, projection: Tensor | None) -> Tensor:
    return rows if projection is None else linear(rows, projection.T)


def _some(weight: Tensor) -> list[slice]:
    """`OUTPUTS` at a time."""
    return [slice(start, start + OUTPUTS) for start in range(0, len(weight), OUTPUTS)]


def _by_place(weight: Tensor) -> Tensor:
    """(O, C, 3, 3) to (9 * O, C), place by place."""
    return weight.flatten(2).permute(2, 0, 1).flatten(0, 1)
