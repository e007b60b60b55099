"""Normalisations that would see one value a channel, which has no deviation: torch stops there, in mid-training."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from segdistill.recipe import Recipe
from segdistill.util import RecipeError

_BATCH = nn.modules.batchnorm._BatchNorm
_INSTANCE = nn.modules.instancenorm._InstanceNorm


@contextmanager
def watch_norms(network: nn.Module) -> Iterator[dict[str, tuple[bool, int]]]:
    """While entered, note what normalisations see.

    Those whose class has a ``forward`` of its own are left out: they know what to do with one value.

    Yields:
        By name of the layer: whether it normalises over the images of a batch, and values a channel of one image.
    """
    seen: dict[str, tuple[bool, int]] = {}
    with ExitStack() as hooks:
        for name, layer in network.named_modules():
            if isinstance(layer, (_BATCH, _INSTANCE)) and type(layer).__module__.startswith("torch."):

                def note(layer: nn.Module, args: tuple[Any, ...], name: str = name) -> None:
                    values: Tensor = args[0]
                    over_batch = isinstance(layer, _BATCH)
                    seen[name] = (over_batch, values[0, 0].numel() if values.dim() > 2 else 1)

                hooks.callback(layer.register_forward_pre_hook(note).remove)
        yield seen


def refuse_single_values(seen: dict[str, tuple[bool, int]], recipe: Recipe) -> None:
    """Refuse a recipe with which a normalisation would see one value a channel.

    Args:
        seen: What `watch_norms` noted for one crop.
        recipe: Of the run.

    Raises:
        RecipeError: It names the layer, the crop and the batch.
    """
    if recipe.train.freeze_bn:
        return
    images = recipe.data.batch_size // recipe.train.accumulate
    single = [name for name, (over_batch, values) in seen.items() if values * (images if over_batch else 1) == 1]
    if single:
        height, width = recipe.data.crop_size
        raise RecipeError(
            f"`data.crop_size` and `data.batch_size` must leave more than one value a channel to each normalisation; "
            f"crops of {height}x{width}, {images} at a time, leave one to {len(single)} of {len(seen)}, "
            f"{single[0].removeprefix('network.module.')} first. Take larger crops, two images or more at a time, or "
            "`train.freeze_bn=true`."
        )
