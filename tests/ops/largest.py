"""How large the tensors are that an operation makes, whatever the allocator does."""

from collections import defaultdict

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Largest(TorchDispatchMode):
    """The most elements that memory behind any result had, by dtype."""

    def __init__(self):
        super().__init__()
        self.by_dtype = defaultdict(int)

    @property
    def elements(self):
        return max(self.by_dtype.values())

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        given = {x.untyped_storage()._cdata for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)}
        for made in tree_leaves(result):
            if isinstance(made, torch.Tensor) and made.untyped_storage()._cdata not in given:
                elements = made.untyped_storage().nbytes() // made.element_size()
                self.by_dtype[made.dtype] = max(self.by_dtype[made.dtype], elements)
        return result
