"""ImageNet weights of a backbone from a local file."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
from timm.models import adapt_input_conv
from torch import Tensor, nn

from segdistill.networks.tensors import misfit, read_tensors
from segdistill.util import MissingFileError, WeightsError, quote

logger = logging.getLogger(__name__)


def load_backbone(
    backbone: nn.Module,
    path: str | Path,
    *,
    name: str,
    channels: int = 3,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Fill a backbone with the weights of a safetensors file that has timm's key names.

    Keys of the whole classification network that the backbone does not use (its classifier, its last
    convolution) are skipped and logged. Everything else must fit: another network's file, even one that
    holds all the needed shapes, is an error. Batch counters (``num_batches_tracked``) may be absent, since
    converters drop them and only cumulative averages need them.

    Args:
        backbone: A timm network made with ``features_only=True``, or one with its keys; changed in place.
        path: The safetensors file.
        name: timm's name of the network, or another's, which then must use every key.
        channels: Of an image. For other than three, timm's rule adapts the first convolution: its weights are repeated
            and scaled, or summed for one channel.
        options: Further keyword arguments of timm's network.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a safetensors file, or does not fit.
    """
    try:
        _load(backbone, path, name, channels, options or {})
    except (MissingFileError, WeightsError) as error:
        raise type(error)(f"`pretrained`: {error}") from error


def _load(backbone: nn.Module, path: str | Path, name: str, channels: int, options: Mapping[str, Any]) -> None:
    known = timm.create_model(name, **options).state_dict().keys() if timm.is_model(name) else ()
    tensors, _ = read_tensors(path)
    state = backbone.state_dict()
    ours = {_flat(key): key for key in state}
    used = {ours[_flat(key)]: tensor for key, tensor in tensors.items() if _flat(key) in ours}
    published = timm.get_pretrained_cfg(name) if channels != 3 and timm.is_model(name) else None
    if published is not None:
        first = _flat(f"{published.first_conv}.weight")
        used |= {key: _adapted(value, state[key]) for key, value in used.items() if _flat(key) == first}
    unused = [key for key in tensors if _flat(key) not in ours]
    foreign = {key: tensors[key] for key in unused if key not in known}
    optional = {key: state[key] for key in state if key.endswith("num_batches_tracked")}
    problem = misfit({**optional, **used, **foreign}, state)
    if problem:
        raise WeightsError(f"{path} must hold the weights of timm's `{name}`, and does not: {problem}.")
    backbone.load_state_dict({**optional, **used})
    logger.info("%s: read %d tensors, skipped %s.", path, len(used), quote(unused, 10) or "none")


def _adapted(weight: Tensor, wanted: Tensor) -> Tensor:
    """A convolution for three channels as one for as many as are wanted."""
    adapted: Tensor = adapt_input_conv(wanted.shape[1], weight)
    return adapted


def _flat(key: str) -> str:
    """Bring ``stages.0.norm`` and ``stages_0.norm`` together: timm flattens some names of a backbone."""
    return key.replace(".", "_")
