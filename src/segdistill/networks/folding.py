"""Batch normalisation folded into the convolution before it: the same function, with one layer less to run.

In evaluation mode batch normalisation scales and shifts each channel by constants, which the convolution can do
itself. Pairs are found by running the network, so that it works for networks that we did not write.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from segdistill.util import FoldError

TOLERANCE = 1e-2  # of the largest value: above the rounding of a deep network in TF32, below what a wrong fold does

Swap = tuple[nn.Module, nn.Module]


@torch.no_grad()
def fold_batch_norms(network: nn.Module, run: Callable[[], Sequence[Tensor]]) -> int:
    """Fold every batch normalisation that directly follows a convolution, in place.

    A pair is folded if both layers ran once, nothing but the normalisation read what the convolution gave, and the
    folded convolution gives what the pair gave. At last the whole network is compared with what it was. Layers keep
    their names; what a normalisation does besides (dropout and activation of timm's ``BatchNormAct2d``) stays.

    Args:
        network: In evaluation mode.
        run: Runs it on the same images at every call, and returns everything that anybody will read from it.

    Returns:
        How many were folded.

    Raises:
        FoldError: If the network does not run, or gives something else afterwards; it is then as it was.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
        >>> image = torch.rand(1, 3, 8, 8)
        >>> fold_batch_norms(network, lambda: [network(image)]), network[1]
        (1, Identity())
    """
    swaps: list[Swap] = []
    try:
        watch = _Watch(network)
        before = watch.run(run)
        swaps = watch.swaps(before)
        _swap(network, swaps)
        after = run()
        if len(after) != len(before) or not all(map(_close, after, before)):
            raise FoldError("its outputs are others with folded layers")
    except Exception as error:  # a foreign network may raise anything
        _swap(network, [(new, old) for old, new in swaps])
        if isinstance(error, FoldError):
            raise
        raise FoldError(f"it does not run on a probe image ({error})") from error
    return len(swaps) // 2


class _Watch(TorchDispatchMode):
    """During a run: which normalisation reads which convolution, and who else does."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layers = {layer for layer in network.modules() if isinstance(layer, nn.Conv2d | _BatchNorm)}
        self.calls: Counter[nn.Module] = Counter()
        self.readers: Counter[nn.Module] = Counter()  # of a convolution's output
        self.made: Any = WeakTensorKeyDictionary()  # a convolution and its input, by its output
        self.pairs: list[tuple[Swap, Swap]] = []
        self.norm: nn.Module | None = None  # the one that runs now

    def run(self, run: Callable[[], Sequence[Tensor]]) -> Sequence[Tensor]:
        """Watch one run."""
        with ExitStack() as stack:
            for hook in (register_module_forward_pre_hook(self._before), register_module_forward_hook(self._after)):
                stack.callback(hook.remove)
            stack.enter_context(self)
            return run()

    def swaps(self, outputs: Sequence[Tensor]) -> list[Swap]:
        """Old and new layer of every pair that can be folded, given what the run returned."""
        for output in outputs:
            if output in self.made:
                self.readers[self.made[output][0]] += 1
        return [
            swap
            for pair in self.pairs
            if self.calls[pair[0][0]] == self.calls[pair[1][0]] == self.readers[pair[0][0]] == 1
            for swap in pair
        ]

    def _before(self, layer: nn.Module, _args: Any) -> None:
        if layer in self.layers and isinstance(layer, _BatchNorm):
            self.norm = layer

    def _after(self, layer: nn.Module, args: Any, output: Any) -> None:
        if layer not in self.layers:
            return
        self.calls[layer] += 1
        if isinstance(layer, nn.Conv2d):
            self.made[output] = (layer, args[0])
            return
        self.norm = None
        conv, image = self.made.get(args[0], (None, None))
        if conv is not None:
            self.readers[conv] += 1
            if (new := _fold(conv, layer)) is not None and _close(new[1](new[0](image)), output):
                self.pairs.append(((conv, new[0]), (layer, new[1])))  # compared now: the next layer may work in place

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.norm is None:
            for leaf in tree_leaves((args, kwargs)):
                if isinstance(leaf, Tensor) and leaf in self.made:
                    self.readers[self.made[leaf][0]] += 1
        return func(*args, **(kwargs or {}))


def _fold(conv: nn.Conv2d, norm: Any) -> Swap | None:
    """The convolution that also normalises, and what is left of the normalisation."""
    if conv.training or norm.training or norm.running_mean is None or norm.running_var is None:
        return None  # statistics of the batch itself
    more = [(name, getattr(norm, name)) for name in ("drop", "act") if hasattr(norm, name)]
    folded = fuse_conv_bn_eval(conv, norm)
    folded._forward_hooks.clear()  # who looks at the convolution does not mean this copy
    return folded, nn.Sequential(OrderedDict(more)) if more else nn.Identity()


def _swap(network: nn.Module, swaps: Sequence[Swap]) -> None:
    """Put new layers in the places of old ones, wherever a module holds one."""
    new = dict(swaps)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if child in new:
                setattr(parent, name, new[child])


def _close(one: Any, other: Any) -> bool:
    if not (isinstance(one, Tensor) and isinstance(other, Tensor)) or one.shape != other.shape:
        return False
    return bool((one - other).abs().max() <= TOLERANCE * other.abs().max())
