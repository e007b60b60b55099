"""How much memory a piece of work asks for: torch's allocator on a GPU, the tensors that are alive on a CPU."""

import weakref
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Gauge(Protocol):
    """Reads memory in bytes."""

    def live(self) -> int:
        """In use now."""

    def peak(self) -> int:
        """Most in use at a time since `reset`."""

    def reset(self) -> None:
        """Forget the peak."""


def gauge(device: torch.device) -> AbstractContextManager[Gauge]:
    """A gauge that reads while its context is open.

    On a GPU it reads what torch's allocator handed out. On a CPU it counts the storages that operations made since
    the context was opened, until they are freed; what a kernel needs only while it runs is not seen. Counting slows
    every operation, so nothing should be timed meanwhile.

    Example:
        >>> with gauge(torch.device("cpu")) as memory:
        ...     total = torch.ones(256, 256).sum()
        ...     memory.peak(), memory.live()
        (262148, 4)
    """
    return nullcontext(_Cuda(device)) if device.type == "cuda" else _LiveTensors()


class _Cuda:
    def __init__(self, device: torch.device) -> None:
        self.device = device

    def live(self) -> int:
        return torch.cuda.memory_allocated(self.device)

    def peak(self) -> int:
        return torch.cuda.max_memory_allocated(self.device)

    def reset(self) -> None:
        torch.cuda.reset_peak_memory_stats(self.device)


class _LiveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._now = self._most = 0
        self._known: set[int] = set()

    def live(self) -> int:
        return self._now

    def peak(self) -> int:
        return self._most

    def reset(self) -> None:
        self._most = self._now

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {storage.data_ptr() for storage in _storages((args, kwargs))}  # of views and of work in place
        for storage in _storages(result):
            address, size = storage.data_ptr(), storage.nbytes()
            if size and address not in given | self._known:
                self._known.add(address)
                self._now += size
                self._most = max(self._most, self._now)
                weakref.finalize(storage, self._free, address, size).atexit = False
        return result

    def _free(self, address: int, size: int) -> None:
        self._known.discard(address)
        self._now -= size


def _storages(tree: Any) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
