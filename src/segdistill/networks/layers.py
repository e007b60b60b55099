"""Which layers of a network are worth tapping, and which stand for ``layer4`` and ``head`` where it names none.

One trial run with a hook on every module tells the maps; the gradient of the logits tells which of them count.
"""

import functools
import logging
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from itertools import zip_longest
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from segdistill.networks.layouts import as_map, find_layout, first_tensor, stride_of, words_of
from segdistill.networks.network import Network
from segdistill.networks.reading import read_output
from segdistill.types import SegOutput
from segdistill.util import NetworkError

logger = logging.getLogger(__name__)

DEFAULTS: Final = ("layer4", "head")
"""What losses read unless a term says otherwise: the deepest map of the backbone, the map that the classifier reads."""


class Layer(NamedTuple):
    """A layer that gives a map.

    Attributes:
        name: What ``features`` takes.
        channels: Its width.
        stride: Pixels of the image to a cell.
    """

    name: str
    channels: int
    stride: int

    def size(self, image: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of its map of an image of this height and width."""
        return -(-image[0] // self.stride), -(-image[1] // self.stride)


class _Seen(NamedTuple):
    layer: Layer
    module: nn.Module
    output: Tensor
    counts: bool  # whether the logits depend on it


class Layers(NamedTuple):
    """What a trial run showed.

    Attributes:
        worth: Layers worth tapping, in the order in which they run: ends of stages, not the insides of blocks.
        defaults: What stands for ``layer4`` and ``head``; a name is missing where nothing sound was found.
    """

    worth: list[Layer]
    defaults: dict[str, str]


def find_layers(network: Network) -> Layers:
    """Find the layers of the plain module that give maps; see `Layers`.

    ``head`` is what the classifier reads: the last convolution or linear layer on the way to the logits that has a
    channel a class. ``layer4`` is the widest of the maps of the largest stride, the last of several.
    """
    seen: dict[str, _Seen] = {}
    network.trial(lambda image: _run(network, image, seen))
    order = list(seen.values())
    classifier = _classifier(order, network.num_classes)
    if classifier is not None:
        position = order.index(classifier)
        order = [one for one in order[:position] if not f"{classifier.layer.name}.".startswith(f"{one.layer.name}.")]
    worth = [one.layer for one in _worth(order)]
    deep = [one for one in worth if seen[one.name].counts]
    defaults = {}
    if deep:
        defaults["layer4"] = _deepest(deep)
        defaults["head"] = deep[-1].name if classifier is None else f"{classifier.layer.name}[input]"
    return Layers(worth, defaults)


def named_layers(network: Network) -> list[Layer]:
    """The features that a network gives, from a trial run; none if it takes no trial image."""
    sizes: list[int] = []

    def run(image: Tensor) -> SegOutput:
        sizes.append(image.shape[-2])
        output: SegOutput = network(image)
        return output

    output = network.trial(run)
    if output is None:
        return []
    return [
        Layer(name, feature.shape[1], max(1, round(sizes[-1] / feature.shape[2])))
        for name, feature in output.features.items()
    ]


def with_defaults(network: Network, names: Collection[str]) -> Network:
    """The network, read also for ``layer4`` and ``head`` if they are among the names and it has none of its own.

    What is taken is logged, once. Where nothing sound is found, or the user has named layers, the network comes back as
    it is: who names layers means them.
    """
    named = set(network.hooked) - set(DEFAULTS)
    missing = [name for name in DEFAULTS if name in names and name not in network.taps and not named]
    found = find_layers(network).defaults if missing else {}
    taken = {name: found[name] for name in missing if name in found}
    if not taken:
        return network
    reads = network.reading(taken)
    for name, source in taken.items():
        _say(f"the {network.role} names no `{name}`: its layer {source!r} is read for it. `features=` names another.")
    return reads


@functools.cache
def _say(text: str) -> None:
    """Say it once, however many runs build the network."""
    logger.warning(text)


def _deepest(layers: list[Layer]) -> str:
    """The last of the widest layers of the largest stride, inside the part of the network that reaches it first.

    That part is the backbone: a decoder may have a map of that stride too.
    """
    largest = max(layer.stride for layer in layers)
    deep = [layer for layer in layers if layer.stride == largest]
    part, dot, _ = deep[0].name.partition(".")
    if dot:
        deep = [layer for layer in deep if layer.name.startswith(f"{part}.")]
    widest = max(layer.channels for layer in deep)
    return [layer.name for layer in deep if layer.channels == widest][-1]


def _run(network: Network, image: Tensor, seen: dict[str, _Seen]) -> SegOutput:
    """The run itself; what every layer gave goes into ``seen``, in the order in which they end."""
    outputs: dict[str, Any] = {}

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            outputs.pop(name, None)  # of a layer that runs several times the last call counts
            outputs[name] = output

        return hook

    with ExitStack() as hooks, torch.enable_grad():
        for name, module in network.module.named_modules():
            if name:
                hooks.callback(module.register_forward_hook(keep(name)).remove)
        fed = network.feed(image.requires_grad_())
        read = read_output(network.module(fed), network.logits_of)
        maps = _maps(network.module, outputs, fed)
        wanted = {name: output for name, (_, output) in maps.items() if output.requires_grad}
        gradients = torch.autograd.grad(read.logits.float().sum(), list(wanted.values()), allow_unused=True)
    counts = {name for name, gradient in zip(wanted, gradients, strict=True) if gradient is not None}
    modules = dict(network.module.named_modules())
    seen.clear()
    seen.update({name: _Seen(layer, modules[name], output, name in counts) for name, (layer, output) in maps.items()})
    return read


def _maps(module: nn.Module, outputs: Mapping[str, Any], image: Tensor) -> dict[str, tuple[Layer, Tensor]]:
    """Layers that give one map of the image."""
    size, maps = image.shape[-2:], {}
    for name, output in outputs.items():
        if isinstance(output, (tuple, list)) and sum(isinstance(item, Tensor) for item in output) > 1:
            continue
        try:
            layout = find_layout(output, len(image), size, name, *words_of(module, name))
            feature = as_map(output, layout, size, name)
        except NetworkError:
            continue
        stride = stride_of(feature.shape[-2:], size)
        if stride is not None:
            maps[name] = Layer(name, feature.shape[1], stride), first_tensor(output)
    return maps


def _classifier(order: list[_Seen], num_classes: int | None) -> _Seen | None:
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    widths = {num_classes, 1} if num_classes == 2 else {num_classes}
    found = [one for one in order if one.counts and isinstance(one.module, kinds) and one.layer.channels in widths]
    return found[-1] if found else None


def _worth(order: list[_Seen]) -> list[_Seen]:
    """Ends of stages: without the insides of blocks, and what only goes on at the same width and stride."""
    closed = [f"{one.layer.name}." for one in order if not _is_open(one, order)]
    shown = [one for one in order if not any(one.layer.name.startswith(block) for block in closed)]
    strides = {one.layer.stride for one in shown}
    ends = [one for one, after in zip_longest(shown, shown[1:]) if not _goes_on(one, after, strides)]
    first: dict[int, _Seen] = {}
    for one in ends:
        first.setdefault(id(one.output), one)  # an open container gives what its last stage gave
    return list(first.values())


def _is_open(container: _Seen, order: list[_Seen]) -> bool:
    """Whether what is inside is worth a look: a whole backbone, or a stack of equal blocks of one stride."""
    prefix, shape = f"{container.layer.name}.", container.layer[1:]
    inside = [one for one in order if one.layer.name.startswith(prefix)]
    if len({one.layer.stride for one in inside}) > 2:
        return True
    before = order[: order.index(container)]
    depth = min((one.layer.name.count(".") for one in inside), default=0)
    blocks = [one for one in inside if one.layer.name.count(".") == depth and one.layer[1:] == shape]
    return (
        len(blocks) > 1
        and len({type(one.module) for one in blocks}) == 1
        and any(True for _ in blocks[0].module.children())
        and len({one.layer.stride for one in before}) == 1
    )


def _goes_on(one: _Seen, after: _Seen | None, strides: Collection[int]) -> bool:
    """Whether the next beside it is of the same shape: an activation after a norm, a further block of a stage.

    In a network of a single stride, a plain ViT, every block is an end.
    """
    if after is None or one.layer[1:] != after.layer[1:]:
        return False
    leaf = not any(True for _ in one.module.children())
    beside = one.layer.name.rpartition(".")[0] == after.layer.name.rpartition(".")[0]
    return beside and (leaf or len(strides) > 1)
