"""Unit vectors, for what compares directions."""

import torch
from torch import Tensor


def unit(x: Tensor, dim: int = -1) -> Tensor:
    """Divide every vector along ``dim`` by its length; a zero vector stays zero.

    Its gradient is that of the numerator alone, where ``F.normalize`` multiplies by 1e12: a ReLU makes such
    vectors.

    >>> unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    return x / length(x, dim)


def length(x: Tensor, dim: int = -1) -> Tensor:
    """What `unit` divides by, ``dim`` kept: the length of every vector, 1 for a zero vector."""
    found: Tensor = torch.linalg.vector_norm(x, dim=dim, keepdim=True)
    return found.masked_fill(found == 0, 1.0)
