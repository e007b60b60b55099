"""What a folder or repository of transformers says of its network: config, class names, how it is fed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from segdistill.labels import LabelTable
from segdistill.types import Preprocessing
from segdistill.util import MissingFileError, UnavailableError

_BACKBONES: Final = {"beit", "convnext", "convnextv2", "dinat", "dinov2", "dinov3_convnext", "maskformer-swin",
                     "resnet", "swin", "swinv2"}  # fmt: skip
_FORBIDDEN: Final = ("auto_map", "use_timm_backbone", "use_pretrained_backbone", "backbone")
NOT_SHAPE: Final = {"architectures", "dtype", "id2label", "label2id", "model_type", "num_labels", "torch_dtype",
                     "transformers_version", "_name_or_path"}  # fmt: skip


def config_of(library: Any, where: str) -> dict[str, Any]:
    """The config of a folder or repository, as it is written."""
    try:
        config: dict[str, Any] = library.PretrainedConfig.get_config_dict(where)[0]
    except OSError as error:
        if Path(where).is_dir():
            raise MissingFileError(f"{where} must hold a `config.json` that transformers reads.") from error
        raise UnavailableError(
            f"{where} cannot be had from the Hugging Face Hub. Check the name and the connection, or give a folder."
        ) from error
    return config


def feeding_of(library: Any, where: str, default: Preprocessing) -> Preprocessing:
    """What the image processor does to an image of 0 to 255, for one of 0 to 1."""
    from transformers.image_processing_base import ImageProcessingMixin

    try:
        steps: dict[str, Any] = ImageProcessingMixin.get_image_processor_dict(where)[0]
    except OSError:
        return default
    scale = 255 * steps.get("rescale_factor", 1 / 255) if steps.get("do_rescale", True) else 255.0
    plain = not steps.get("do_normalize", default.mean != (0.0,) * 3)
    mean = (0.0,) * 3 if plain else steps.get("image_mean") or default.mean
    std = (1.0,) * 3 if plain else steps.get("image_std") or default.std
    return Preprocessing(
        tuple(value / scale for value in mean),
        tuple(value / scale for value in std),
        bool(steps.get("do_flip_channel_order", default.bgr)),
    )


def names_of(config: Mapping[str, Any]) -> list[str]:
    """Class names by channel."""
    names = {int(key): str(value) for key, value in (config.get("id2label") or {}).items()}
    return [names[key] for key in sorted(names)] or [f"LABEL_{i}" for i in range(config.get("num_labels") or 2)]


def labels_of(names: list[str], where: str) -> LabelTable | None:
    """The class table; None where the config has the library's placeholders. A name that repeats gets its number."""
    if all(name == f"LABEL_{i}" for i, name in enumerate(names)):
        return None
    return LabelTable.from_names(
        [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names)], name=Path(where).name
    )


def own_parts(config: dict[str, Any]) -> dict[str, Any]:
    """The config without the backbone of MaskFormer's DETR, which nobody builds."""
    decoder = config.get("decoder_config")
    if not isinstance(decoder, Mapping):
        return config
    return {**config, "decoder_config": {key: value for key, value in decoder.items() if "backbone" not in key}}


def forbidden(config: Mapping[str, Any]) -> set[str]:
    """Keys, at any depth, that would run code of a repository or fetch further weights."""
    backbone = config.get("backbone_config") or {}
    if backbone and backbone.get("model_type") not in _BACKBONES:
        return {f"backbone_config.model_type {backbone.get('model_type')}"}
    inside = (value for value in config.values() if isinstance(value, Mapping))
    return {key for key in _FORBIDDEN if config.get(key)}.union(*map(forbidden, inside))


def plain(config: Any, keys: set[str]) -> dict[str, Any]:
    """What of a config differs from its class, as JSON can hold it."""
    options = {key: value for key, value in config.to_diff_dict().items() if key in keys}
    for key in options:
        if kind := getattr(getattr(config, key), "model_type", None):  # which older transformers leave out
            options[key] = {**options[key], "model_type": kind}
    as_json: dict[str, Any] = json.loads(json.dumps(options))
    return own_parts(as_json)
