"""How a layer of a foreign network lays out its output: a map, a map with its channels last, or tokens.

The layout of a layer is found once, on an image that is wider than high, and applied at every call.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

from torch import Tensor, nn

from segdistill.util import NetworkError

_MOST_PREFIX: Final = 16  # tokens before those of patches: a class, registers
_LARGEST_STRIDE: Final = 64
_ROUNDINGS: Final = (math.ceil, math.floor)
_REMEDY: Final = "Tap another layer; `segdistill list --layers` shows those that give maps."


class Layout(NamedTuple):
    """How to make a map (B, C, h, w) of a layer's output.

    Attributes:
        kind: ``map`` (B, C, h, w); ``channels_last`` (B, h, w, C); ``tokens`` (B, N, C).
        prefix: Tokens that belong to no patch and stand before the others.
    """

    kind: Literal["map", "channels_last", "tokens"]
    prefix: int = 0


def find_layout(
    output: Any, batch: int, image: Sequence[int], origin: str, prefix: int | None = None, patch: int | None = None
) -> Layout:
    """Tell the layout of an output.

    Args:
        output: What a layer gave; of a tuple or list the first tensor counts.
        batch: How many images the network was given.
        image: Height and width of these images.
        origin: What messages call the layer.
        prefix: Tokens before those of patches, where the network says it; None to find it.
        patch: Side of a patch in pixels, where the network says it; deeper layers may have larger ones.

    Raises:
        NetworkError: If it is no map of the image, or could be several.
    """
    feature = first_tensor(output)
    shape = tuple(feature.shape) if isinstance(feature, Tensor) else ()
    got = str(shape) if isinstance(feature, Tensor) else type(output).__name__
    size = f"an image of {image[0]}x{image[1]}"
    if len(shape) == 4 and shape[0] == batch:
        if _pooled(shape[2:], image) or _pooled(shape[1:3], image):
            raise NetworkError(f"{origin} must give a map; of {size} it gives {got}, one cell. {_REMEDY}")
        kinds: list[tuple[Literal["map", "channels_last"], Sequence[int]]]
        kinds = [("map", shape[2:]), ("channels_last", shape[1:3])]
        fits = [(kind, cells) for kind, cells in kinds if _shows(cells, image)]
        even = [(kind, cells) for kind, cells in fits if stride_of(cells, image)]
        if fits:
            return Layout((even or fits)[0][0])  # where both still fit, the order of torch
    if len(shape) == 3 and shape[0] == batch:
        counts = _prefixes(shape[1], image, [patch] if patch else [])
        counts = counts or _prefixes(shape[1], image, range(1, image[0] + 1))
        found = sorted({count for count in counts if prefix in (None, count)})
        if len(found) == 1:
            return Layout("tokens", found[0])
        if found:
            several = " or ".join(map(str, found))
            raise NetworkError(
                f"{origin} must give tokens of which it is clear which belong to no patch; of {size} it gives {got}, "
                f"with {several} before the others. {_REMEDY}"
            )
    raise NetworkError(
        f"{origin} must give a map (B, C, h, w), a map (B, h, w, C) or tokens (B, N, C) of the image; of "
        f"{batch} x {size.removeprefix('an ')} it gives {got}. {_REMEDY}"
    )


def as_map(output: Any, layout: Layout, image: Sequence[int], origin: str) -> Tensor:
    """Bring an output to (B, C, h, w) by its layout.

    Args:
        output: What the layer gave.
        layout: As it was found.
        image: Height and width of the images.
        origin: What messages call the layer.

    Raises:
        NetworkError: If tokens do not tile the image.
    """
    feature: Tensor = first_tensor(output)
    if layout.kind == "map":
        return feature
    if layout.kind == "channels_last":
        return feature.permute(0, 3, 1, 2)
    tokens = feature[:, layout.prefix :]
    grid = _grid(tokens.shape[1], image)
    if grid is None:
        raise NetworkError(
            f"{origin} must give a token a patch; it gives {tokens.shape[1]}, which tile no image of "
            f"{image[0]}x{image[1]}. Give `multiple=`, the side of a patch, to the network, and images are padded."
        )
    return tokens.transpose(1, 2).reshape(len(tokens), -1, *grid)


class Tap(NamedTuple):
    """What is read of a layer.

    Attributes:
        layer: Its dotted name.
        indices: Which of its outputs, if it gives several.
        of_input: What it is given is read, and not what it gives.
    """

    layer: str
    indices: tuple[int, ...] = ()
    of_input: bool = False


def split_tap(source: str) -> Tap:
    """The layer that a text names, and what of it.

    >>> split_tap("encoder[0][-1]")
    Tap(layer='encoder', indices=(0, -1), of_input=False)
    >>> split_tap("classifier[input]")
    Tap(layer='classifier', indices=(), of_input=True)
    """
    layer, *rest = source.split("[")
    of_input = rest[:1] == ["input]"]
    rest = rest[of_input:]
    if not all(re.fullmatch(r"-?\d+\]", part) for part in rest):
        return Tap(source)
    return Tap(layer, tuple(int(part[:-1]) for part in rest), of_input)


def stride_of(cells: Sequence[int], image: Sequence[int]) -> int | None:
    """Pixels to a cell, the same in both directions, if there is such a number up to 64; one that divides comes first.

    >>> stride_of((16, 24), (128, 192)), stride_of((9, 13), (128, 192)), stride_of((6, 6), (128, 192))
    (8, 14, None)
    """
    strides = sorted(range(1, _LARGEST_STRIDE + 1), key=lambda stride: any(side % stride for side in image))
    for stride in strides:
        if any(all(round_(side / stride) == n for n, side in zip(cells, image, strict=True)) for round_ in _ROUNDINGS):
            return stride
    return None


def pick(output: Any, indices: Sequence[int], origin: str) -> Any:
    """One of several outputs of a layer.

    Raises:
        NetworkError: If it does not give so many.
    """
    for index in indices:
        if not isinstance(output, (tuple, list)) or not -len(output) <= index < len(output):
            held = f"{len(output)} outputs" if isinstance(output, (tuple, list)) else type(output).__name__
            raise NetworkError(f"{origin} must give an output number {index}; it gives {held}. {_REMEDY}")
        output = output[index]
    return output


def first_tensor(output: Any) -> Any:
    """The tensor of an output: itself, the first of a tuple or list, or a ``last_hidden_state``."""
    output = getattr(output, "last_hidden_state", output)
    while isinstance(output, (tuple, list)) and output:
        output = output[0]
    return output


def prefix_of(module: nn.Module, layer: str) -> int | None:
    """Tokens before those of patches, by the word of the network that a layer is in; None if it says nothing.

    timm's networks have ``num_prefix_tokens``; those of transformers a configuration with ``num_register_tokens``, to
    which the class token comes.
    """
    for owner in _owners(module, layer):
        count = getattr(owner, "num_prefix_tokens", None)
        if isinstance(count, int):
            return count
        registers = getattr(getattr(owner, "config", None), "num_register_tokens", None)
        if isinstance(registers, int):
            return registers + 1
    return None


def words_of(module: nn.Module, layer: str) -> tuple[int | None, int | None]:
    """What the network says of the tokens of a layer: `prefix_of` and `patch_of`, as `find_layout` takes them."""
    return prefix_of(module, layer), patch_of(module, layer)


def patch_of(module: nn.Module, layer: str) -> int | None:
    """Side of a patch in pixels, by the word of the network that a layer is in; None if it says nothing."""
    for owner in _owners(module, layer):
        said = getattr(getattr(owner, "config", None), "patch_size", None) or getattr(
            getattr(owner, "patch_embed", None), "patch_size", None
        )
        side = said[0] if isinstance(said, (tuple, list)) and said else said
        if isinstance(side, int):
            return side
    return None


def _owners(module: nn.Module, layer: str) -> Iterator[nn.Module]:
    """The layer and all that it is in, from inside out."""
    parts = layer.split(".") if layer else []
    for end in range(len(parts), -1, -1):
        yield module.get_submodule(".".join(parts[:end]))


def _shows(cells: Sequence[int], image: Sequence[int]) -> bool:
    """Whether a map of so many cells has the proportions of the image: at most one cell of rounding a side."""
    return all(cells) and abs(cells[0] * image[1] - cells[1] * image[0]) <= max(image) and cells[0] <= image[0]


def _pooled(cells: Sequence[int], image: Sequence[int]) -> bool:
    return tuple(cells) == (1, 1) and max(image) > 64


def _prefixes(tokens: int, image: Sequence[int], patches: Iterable[int]) -> list[int]:
    """Numbers of leading tokens with which the rest is a grid of such patches that tile the image."""
    tiling = [patch for patch in patches if image[0] % patch == 0 and image[1] % patch == 0]
    counts = [tokens - (image[0] // patch) * (image[1] // patch) for patch in tiling]
    return [count for count in counts if 0 <= count <= _MOST_PREFIX]


def _grid(tokens: int, image: Sequence[int]) -> tuple[int, int] | None:
    """Rows and columns of patches that have the proportions of the image."""
    height = round(math.sqrt(tokens * image[0] / image[1]))
    if not height or tokens % height or not _shows((height, tokens // height), image):
        return None
    return height, tokens // height
