"""What makes the host wait for a GPU, caught by name where there is none."""

import contextlib

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "bincount", "unique_dim", "_unique2"}
READS = {"tolist", "item", "numpy", "cpu", "__bool__", "__int__", "__float__", "__index__", "__array__", "__contains__"}


class Operations(TorchDispatchMode):
    """Keeps the names of operations whose result has a size, or goes to a place, that the host must wait for."""

    def __init__(self):
        super().__init__()
        self.waits = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        masked = name.startswith("index") and any(leaf.dtype in (torch.bool, torch.uint8) for leaf in given[1:])
        moved = name in ("_to_copy", "copy_") and len({leaf.device for leaf in [*given, *tree_leaves(result)]}) > 1
        if name in WAITS or masked or moved:
            self.waits.append(name)
        return result


class Reads(TorchFunctionMode):
    """Keeps the names of calls that bring a tensor's values to the host."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in READS:
            self.names.append(func.__name__)
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def watched():
    with Reads() as reads, Operations() as operations:
        found = []
        yield found
    found += [*reads.names, *operations.waits]
