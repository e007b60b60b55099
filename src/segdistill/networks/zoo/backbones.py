"""Backbones of timm as makers of maps: four stages where there are so many, at a stride that they can have."""

import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import timm
import torch
from torch import Tensor, nn

from segdistill.networks.zoo.pretrained import load_backbone
from segdistill.util import ArgumentError, UnavailableError, first_line

logger = logging.getLogger(__name__)

STAGES: Final = ("layer1", "layer2", "layer3", "layer4")
"""Names of the maps; nominally at strides 4, 8, 16 and 32. A backbone with fewer maps has the last of these names."""


_ALIGNED: Final = ("hrnet",)  # which add up maps of several strides


class Stage(NamedTuple):
    """One map of a backbone.

    Attributes:
        width: Channels.
        stride: Image pixels a cell.
    """

    width: int
    stride: int


class Backbone(NamedTuple):
    """A backbone that was built.

    Attributes:
        module: From an image to a list of maps.
        stages: What these maps are, fine to deep.
        channels_last: Whether its maps are (B, H, W, C).
        size: (H, W) that it insists on; None for any.
        multiple: Of which the sides of an image must be multiples.
    """

    module: nn.Module
    stages: list[Stage]
    channels_last: bool
    size: tuple[int, int] | None
    multiple: int


def build_backbone(
    name: str,
    *,
    output_stride: int | None,
    preferred: int,
    channels: int,
    options: Mapping[str, Any],
    pretrained: bool | str | Path,
) -> Backbone:
    """Build a backbone of timm.

    Args:
        name: timm's.
        output_stride: Image pixels a cell of the deepest map; None for ``preferred`` where the backbone can be dilated,
            else for what it has.
        preferred: The stride to try first.
        channels: Of an image.
        options: Further keyword arguments of the network.
        pretrained: See `create`.

    Raises:
        ArgumentError: If timm cannot build it so.
        UnavailableError, WeightsError, MissingFileError: If weights cannot be had.
    """
    started = torch.get_rng_state()  # what fails must not change the initial weights of what works
    first: Exception | None = None
    for attempt in _attempts(name, output_stride, preferred):
        build = functools.partial(_features, name, attempt, channels, options)
        torch.set_rng_state(started)
        try:
            module: Any = build()
        except Exception as error:  # timm refuses with assertions, type errors and runtime errors alike
            if first is None or attempt == _PLAINEST:
                first = error
            continue
        wanted = attempt.stride if output_stride is None else output_stride
        if wanted is not None and module.feature_info.reduction()[-1] != wanted:
            continue
        indices = _spread(module)
        if indices != attempt.indices:
            build = functools.partial(_features, name, attempt._replace(indices=indices), channels, options)
            torch.set_rng_state(started)
            module = build()
        if pretrained is not False:
            module = _with_weights(build, module, name, channels, options, pretrained)
        return _described(module, name, attempt, output_stride)
    had = _strides(name, channels, options)
    instead = f"Its own stride is {had}." if had else "Use another backbone."
    why = f" ({first_line(first)})" if first is not None else ""
    stride = "" if output_stride is None else f" at `output_stride` {output_stride}"
    raise ArgumentError(
        f"`name` must have a backbone that gives maps{stride} and takes the options given; timm cannot build `{name}` "
        f"so{why}. {instead}"
    )


class _Attempt(NamedTuple):
    """One way to build a backbone."""

    stride: int | None  # asked for; None for what it has
    indices: tuple[int, ...]
    sizes: dict[str, Any]  # what lets a network of one input size take any
    any_size: bool


_PLAINEST: Final = _Attempt(None, (-4, -3, -2, -1), {}, False)  # whose error says most of a network of one size


def _attempts(name: str, output_stride: int | None, preferred: int) -> Iterator[_Attempt]:
    """Ways to build it, the best first; the one that was always taken comes before all others."""
    published = timm.get_pretrained_cfg(name)
    if published is not None and published.fixed_input_size:
        sizes = [({"dynamic_img_size": True}, True), ({"strict_img_size": False}, True), ({}, False)]
    else:
        sizes = [({}, True)]
    for stride in (preferred if output_stride is None else output_stride, None):
        for count in range(len(STAGES), 0, -1):
            for options, any_size in sizes:
                yield _Attempt(stride, tuple(range(-count, 0)), options, any_size)


def _features(name: str, attempt: _Attempt, channels: int, options: Mapping[str, Any], **further: Any) -> Any:
    # 32 is what most have by themselves; many know only that and not the argument.
    arguments: dict[str, Any] = {} if attempt.stride in (None, 32) else {"output_stride": attempt.stride}
    if channels != 3:
        arguments["in_chans"] = channels
    arguments |= {**attempt.sizes, **options, **further}
    return timm.create_model(name, features_only=True, out_indices=attempt.indices, **arguments)


def _spread(module: Any) -> tuple[int, ...]:
    """Which maps to take: of a network with one stride throughout, such as a ViT, those after each quarter."""
    taken = tuple(range(-len(module.feature_info.reduction()), 0))
    blocks = getattr(getattr(module, "model", None), "feature_info", ())
    if len(taken) < len(STAGES) or len(set(module.feature_info.reduction())) > 1 or len(blocks) <= len(STAGES):
        return taken
    return tuple(len(blocks) * quarter // len(STAGES) - 1 for quarter in range(1, len(STAGES) + 1))


def _with_weights(
    build: Callable[..., Any],
    module: nn.Module,
    name: str,
    channels: int,
    options: Mapping[str, Any],
    pretrained: bool | str | Path,
) -> Any:
    if pretrained is True:
        try:
            return build(pretrained=True)
        except Exception as error:  # each cause, from a closed port to a bad key, has its own type
            raise UnavailableError(
                f"timm could not load its weights of `{name}` ({first_line(error)}). "
                "Without a network, pass pretrained=PATH of a safetensors file."
            ) from error
    assert isinstance(pretrained, (str, Path))
    load_backbone(module, pretrained, name=name, channels=channels, options=options)
    return module


def _described(module: Any, name: str, attempt: _Attempt, output_stride: int | None) -> Backbone:
    info = module.feature_info
    stages = [Stage(width, stride) for width, stride in zip(info.channels(), info.reduction(), strict=True)]
    layout = str(getattr(getattr(module, "output_fmt", None), "value", "NCHW"))
    if layout not in ("NCHW", "NHWC"):
        raise ArgumentError(f"`name` must have a backbone that gives maps; `{name}` gives {layout}.")
    published = timm.get_pretrained_cfg(name)
    deepest = max(stage.stride for stage in stages)
    aligned = name.startswith(_ALIGNED) or (published is not None and published.fixed_input_size)
    size = None if attempt.any_size or published is None else published.input_size[-2:]
    if attempt.stride is None and output_stride is None:
        logger.info("the backbone %s gives its deepest map at stride %d", name, stages[-1].stride)
    return Backbone(module, stages, layout == "NHWC", size, deepest if aligned else 1)


def _strides(name: str, channels: int, options: Mapping[str, Any]) -> int | None:
    """The stride that it has by itself, if timm can build it at all."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        for attempt in _attempts(name, None, 32):
            try:
                return int(_features(name, attempt, channels, options).feature_info.reduction()[-1])
            except Exception:  # as above
                continue
    return None


def as_maps(maps: list[Tensor]) -> list[Tensor]:
    """Maps (B, H, W, C) as (B, C, H, W)."""
    return [each.permute(0, 3, 1, 2) for each in maps]
