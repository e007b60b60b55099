"""Networks of transformers by Hub id, folder or model type: those that score pixels, those that answer with queries."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from segdistill.labels import LabelTable
from segdistill.networks.arguments import FEEDING, check_options, feeding_options, require, split_feeding
from segdistill.networks.checkpoints import load_weights
from segdistill.networks.mask_classification import queries_of
from segdistill.networks.network import Network
from segdistill.types import Preprocessing
from segdistill.util import ArgumentError, MissingFileError, UnavailableError, WeightsError, nearest, quote

_HALF: Final = Preprocessing((0.5,) * 3, (0.5,) * 3)
_BLUE_FIRST: Final = Preprocessing((0.0,) * 3, (1.0,) * 3, bgr=True)


class _Family(NamedTuple):
    """What a model type of transformers needs to be known.

    Attributes:
        model: Its class.
        head: The layer whose output the classifier reads.
        backbone: The part that holds the stages or blocks; four of them are the layers.
        fixed: It takes squares of ``config.image_size`` only; else sides are padded to a multiple of 32.
        queries: It answers with classes and masks of queries.
        feeding: Without an image processor.
    """

    model: str
    head: str
    backbone: str
    fixed: bool = False
    queries: bool = False
    feeding: Preprocessing = Preprocessing()


_FAMILIES: Final = {
    "beit": _Family("BeitForSemanticSegmentation", "decode_head.fpn_bottleneck", "beit", True, feeding=_HALF),
    "data2vec-vision": _Family(
        "Data2VecVisionForSemanticSegmentation", "decode_head.fpn_bottleneck", "data2vec_vision", True
    ),
    "dpt": _Family("DPTForSemanticSegmentation", "head.head.3", "dpt", True, feeding=_HALF),
    "eomt": _Family("EomtForUniversalSegmentation", "upscale_block", "", True, queries=True),
    "mask2former": _Family(
        "Mask2FormerForUniversalSegmentation",
        "model.pixel_level_module.decoder.mask_projection",
        "model.pixel_level_module.encoder",
        queries=True,
    ),
    "maskformer": _Family(
        "MaskFormerForInstanceSegmentation",
        "model.pixel_level_module.decoder.mask_projection",
        "model.pixel_level_module.encoder",
        queries=True,
    ),
    "mobilenet_v2": _Family(
        "MobileNetV2ForSemanticSegmentation", "segmentation_head.dropout", "mobilenet_v2", feeding=_HALF
    ),
    "mobilevit": _Family(
        "MobileViTForSemanticSegmentation", "segmentation_head.dropout", "mobilevit", feeding=_BLUE_FIRST
    ),
    "segformer": _Family("SegformerForSemanticSegmentation", "decode_head.dropout", "segformer"),
    "upernet": _Family("UperNetForSemanticSegmentation", "decode_head.fpn_bottleneck", "backbone"),
}

_STAGES: Final = ("hidden_states_norms", "swin.encoder.layers", "encoder.stages", "stages", "encoder.layers", "layers",
                  "encoder.layer", "layer")  # fmt: skip
"""Where a backbone of transformers keeps its stages or blocks; the first that it has."""
_BACKBONES: Final = {"beit", "convnext", "convnextv2", "dinov2", "maskformer-swin", "resnet", "swin", "swinv2"}
_FORBIDDEN: Final = ("auto_map", "use_timm_backbone", "use_pretrained_backbone", "backbone")
_NOT_SHAPE: Final = {"architectures", "dtype", "id2label", "label2id", "model_type", "num_labels", "torch_dtype",
                     "transformers_version", "_name_or_path"}  # fmt: skip


def create(
    name: str,
    *,
    num_classes: int | None,
    weights: str | Path | None,
    pretrained: bool | str | Path,
    options: Mapping[str, Any],
) -> Network:
    """Build a network of transformers.

    - A Hub id or folder alone is the network as published: its weights, its classes, in evaluation mode.
    - With ``num_classes`` it is a student of that many classes: untrained, or with ``pretrained`` from the published
      weights. Where the number is another than the published one, the classifier is new and the classes are unknown.
    - A model type (``segformer``, ``mask2former``, ...) is untrained, of the sizes in ``options``.

    Weights are safetensors; code of a repository is never run. Universal networks score pixels by `pixel_scores`.

    Args:
        name: A Hub id (``nvidia/segformer-b0-finetuned-ade-512-512``), a folder, or a model type. Without connection
            set ``HF_HUB_OFFLINE=1``: what was fetched before is used.
        num_classes: Channels of the logits. None: as published.
        weights: A file that `save_network` wrote, of the same network.
        pretrained: True: start from the weights of the id or folder.
        options: ``mean``, ``std``, ``bgr``; of a model type also every key of its config class.

    Raises:
        ArgumentError: If a name or option is unknown, or a repository brings code.
        WeightsError: If there are no safetensors, or they do not fill the network.
        UnavailableError: If transformers or the repository cannot be had.
    """
    library = require("transformers", source="huggingface", extra="huggingface")
    folder = Path(name).expanduser()
    published = name not in _FAMILIES
    if published and not folder.is_dir() and (name.count("/") != 1 or name.startswith((".", "/", "~"))):
        raise ArgumentError(
            f"`name` must be a Hub id, a folder or a model type; got {name!r}. {nearest(name, _FAMILIES)}"
        )
    if not isinstance(pretrained, bool):
        raise ArgumentError("`pretrained` must be true or false here: give a folder as `name`, a file as `weights`.")
    if pretrained and not published:
        raise ArgumentError(f"`pretrained` must be false for the model type {name!r}; give a Hub id or a folder.")
    where = str(folder) if folder.is_dir() else name
    known = _own_parts(_config_of(library, where) if published else {**options, "model_type": name})
    kind = str(known.get("model_type"))
    if kind not in _FAMILIES:
        raise ArgumentError(f"`name` must be of a known model type; {name} is {kind!r}. {nearest(kind, _FAMILIES)}")
    family = _FAMILIES[kind]
    default = _feeding_of(library, where, family.feeding) if published else family.feeding
    preprocessing, rest = split_feeding(options, default)
    keys = {*library.AutoConfig.for_model(kind).to_dict()} - _NOT_SHAPE
    check_options(rest, [*FEEDING, *(() if published else keys)], f"`{name}`")
    if found := sorted(_forbidden(known)):
        raise ArgumentError(f"`name` must be a network without code or parts of elsewhere; {name} has {quote(found)}.")
    settings = {key: value for key, value in known.items() if key in keys}
    if "use_auxiliary_head" in keys:
        settings["use_auxiliary_head"] = False  # its answer does not leave the library's networks
    names = _names_of(known) if published else []
    count = num_classes or len(names)
    if count < 1:
        raise ArgumentError(f"`num_classes` must be given for {name!r}; got {num_classes}.")
    try:
        config = library.AutoConfig.for_model(kind, **settings, num_labels=count)
        use_weights = published and weights is None and (pretrained or num_classes is None)
        cls = getattr(library, family.model)
        module = _load(cls, where, config, fresh_head=count != len(names)) if use_weights else cls(config)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        if isinstance(error, (ArgumentError, WeightsError)):
            raise
        raise ArgumentError(f"`options` must make a {kind}; transformers says: {error}.") from error
    if family.fixed:
        size = config.image_size
        preprocessing = preprocessing._replace(size=(size, size) if isinstance(size, int) else tuple(size))
    else:
        preprocessing = preprocessing._replace(multiple=32)
    network = Network(
        module,
        features=_layers(module, family),
        logits=queries_of if family.queries else None,
        preprocessing=preprocessing,
        labels=_labels(names, where) if count == len(names) else None,
        spec={
            "source": "huggingface",
            "name": kind,
            "num_classes": count,
            "options": {**_plain(config, keys), **feeding_options(preprocessing)},
        },
        num_classes=count,
    )
    if weights is not None:
        load_weights(network, weights)
    trained = use_weights and num_classes is None
    return network.eval() if trained else network.train()


def _config_of(library: Any, where: str) -> dict[str, Any]:
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


def _load(cls: Any, where: str, config: Any, *, fresh_head: bool) -> Any:
    """The published weights; with ``fresh_head`` those of another number of classes start anew."""
    if Path(where).is_dir() and not any(Path(where).glob("*.safetensors")):
        raise WeightsError(
            f"{where} must hold safetensors; pickles are not read because they can run code. Convert it once: "
            "safetensors.torch.save_file(torch.load(OLD, weights_only=True), 'model.safetensors')."
        )
    try:
        module, report = cls.from_pretrained(
            where,
            config=config,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=fresh_head,
            output_loading_info=True,
        )
    except OSError as error:
        raise UnavailableError(f"{where} has no safetensors, or they cannot be had from the Hub ({error}).") from error
    except RuntimeError as error:
        raise WeightsError(f"{where} must hold the weights of its config: {error}.") from error
    if missing := sorted(report["missing_keys"]):
        raise WeightsError(f"{where} must hold all weights of {cls.__name__}; it lacks {quote(missing, 3)}.")
    return module.float()


def _feeding_of(library: Any, where: str, default: Preprocessing) -> Preprocessing:
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


def _names_of(config: Mapping[str, Any]) -> list[str]:
    """Class names by channel."""
    names = {int(key): str(value) for key, value in (config.get("id2label") or {}).items()}
    return [names[key] for key in sorted(names)] or [f"LABEL_{i}" for i in range(config.get("num_labels") or 2)]


def _labels(names: list[str], where: str) -> LabelTable | None:
    """The class table; None where the config has the library's placeholders. A name that repeats gets its number."""
    if all(name == f"LABEL_{i}" for i, name in enumerate(names)):
        return None
    return LabelTable.from_names(
        [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names)], name=Path(where).name
    )


def _own_parts(config: dict[str, Any]) -> dict[str, Any]:
    """The config without the backbone of MaskFormer's DETR, which nobody builds."""
    decoder = config.get("decoder_config")
    if not isinstance(decoder, Mapping):
        return config
    return {**config, "decoder_config": {key: value for key, value in decoder.items() if "backbone" not in key}}


def _forbidden(config: Mapping[str, Any]) -> set[str]:
    """Keys, at any depth, that would run code of a repository or fetch further weights."""
    backbone = config.get("backbone_config") or {}
    if backbone and backbone.get("model_type") not in _BACKBONES:
        return {f"backbone_config.model_type {backbone.get('model_type')}"}
    inside = (value for value in config.values() if isinstance(value, Mapping))
    return {key for key in _FORBIDDEN if config.get(key)}.union(*map(_forbidden, inside))


def _plain(config: Any, keys: set[str]) -> dict[str, Any]:
    """What of a config differs from its class, as JSON can hold it."""
    options = {key: value for key, value in config.to_diff_dict().items() if key in keys}
    plain: dict[str, Any] = json.loads(json.dumps(options))
    return _own_parts(plain)


def _layers(module: Any, family: _Family) -> dict[str, str]:
    """``layer1`` to ``layer4`` and ``head`` as names of layers."""
    prefix = f"{family.backbone}." if family.backbone else ""
    parts = dict(module.named_modules())
    path = next(prefix + stages for stages in _STAGES if prefix + stages in parts)
    stages = [f"{path}.{key}" for key, _ in parts[path].named_children()]
    if family.queries and not family.backbone:
        stages = stages[: -module.config.num_blocks]  # from there on queries are among the tokens
    count = len(stages)
    if count > 5:  # blocks, not stages
        stages = [stages[(i + 1) * count // 4 - 1] for i in range(4)]
    stages = stages[-4:]
    return {**{f"layer{i + 5 - len(stages)}": stage for i, stage in enumerate(stages)}, "head": family.head}
