"""The precision in which ops and losses are computed: float32 or more, whatever autocast says."""

import functools
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def working_dtype(*tensors: Tensor) -> torch.dtype:
    """Return float32, or float64 where a tensor is float64.

    >>> working_dtype(torch.zeros(1, dtype=torch.bfloat16))
    torch.float32
    >>> working_dtype(torch.zeros(1), torch.zeros(1, dtype=torch.float64))
    torch.float64
    """
    return functools.reduce(torch.promote_types, (tensor.dtype for tensor in tensors), torch.float32)


def without_autocast(tensor: Tensor) -> AbstractContextManager[object]:
    """Return a context in which autocast does not lower operations on the tensor's device."""
    device = tensor.device.type
    if not torch.amp.is_autocast_available(device):
        return nullcontext()
    return torch.autocast(device, enabled=False)
