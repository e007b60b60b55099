"""Matrix products of a CPU at the speed of its convolutions."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """Product of (T, I) and the transpose of (O, I), without a graph.

    torch gives float32 matrix products of a CPU to MKL and convolutions to oneDNN. On processors that are not Intel's,
    MKL leaves the widest vectors unused: 160 against 450 GFLOP/s, measured on two cores of an AMD EPYC. The operator
    that torch's own compiler makes of a linear layer goes to oneDNN; where torch has none, `F.linear` does the same.
    """
    fast = x.dtype == torch.float32 and x.device.type == "cpu" and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    if fast and x.numel():  # oneDNN refuses a sum of nothing
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
        return product
    return F.linear(x, weight)


def product(x: Tensor, weight: Tensor) -> Tensor:
    """As `linear`, with gradients to both."""
    y: Tensor = _Product.apply(x, weight)
    return y


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return linear(x, weight)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        return (
            linear(grad, weight.T) if ctx.needs_input_grad[0] else None,
            linear(grad.T, x.T) if ctx.needs_input_grad[1] else None,
        )
