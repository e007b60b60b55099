"""The segmentation networks of torchvision, with their auxiliary logits."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from torch import Tensor, nn

from segdistill.labels import LabelTable
from segdistill.networks.arguments import FEEDING, check_num_classes, check_options, feeding_options, split_feeding
from segdistill.networks.checkpoints import load_weights, read_state
from segdistill.networks.network import Network
from segdistill.networks.tensors import fill
from segdistill.util import ArgumentError, UnavailableError, nearest

_CLASSIFIERS: Final = ("fc.", "classifier.")  # of the classification networks, which a backbone does without


def create(
    name: str,
    *,
    num_classes: int | None,
    weights: str | Path | None,
    pretrained: bool | str | Path,
    options: Mapping[str, Any],
) -> Network:
    """Build a segmentation network of torchvision; its module is the library's own, and so are its keys.

    It resizes its logits, auxiliary ones too, to the image inside, which costs memory at large images: (B, K, H, W).

    Args:
        name: As torchvision has it, for example ``deeplabv3_resnet50``.
        num_classes: Channels of the logits; None only with ``pretrained=True``, whose 21 it then has.
        weights: A file of the whole network: of `save_network`, or a state dict as safetensors or ``.pth``.
        pretrained: True: the library's weights of the whole network, trained on COCO for the 21 classes of Pascal VOC.
            ``"backbone"``: the library's ImageNet weights of the backbone, for any classes. A path: a file of those.
        options: ``aux``, the auxiliary head (default: where the network can have one), ``mean``, ``std``, ``bgr``.

    Raises:
        ArgumentError: If an argument does not exist or is out of range; unknown names list the nearest.
        WeightsError, MissingFileError: If a file is missing or does not fit.
        UnavailableError: If the library's weights cannot be fetched.
    """
    from torchvision import models

    names = models.list_models(module=models.segmentation)
    if name not in names:
        raise ArgumentError(
            f"`name` must be a segmentation network of torchvision; got {name!r}. {nearest(name, names)}"
        )
    check_options(options, ("aux", *FEEDING), "torchvision")
    signature = inspect.signature(models.get_model_builder(name)).parameters
    has_aux = "aux_loss" in signature
    fed, rest = split_feeding(options)
    aux = rest.get("aux", has_aux)
    if not isinstance(aux, bool) or (aux and not has_aux):
        raise ArgumentError(
            f"`options.aux` must be {'true or false' if has_aux else 'false'} for `{name}`; got {aux!r}."
        )
    if len(fed.mean) != 3:
        raise ArgumentError(
            f"`mean` must have three numbers for a network of torchvision; got {len(fed.mean)}. "
            "The sources `zoo` and `smp` take other channels."
        )
    labels = None
    trained = models.get_model_weights(name).DEFAULT
    if pretrained is True:
        labels = LabelTable.from_names(trained.meta["categories"])
        if num_classes not in (None, labels.num_classes):
            raise ArgumentError(
                f"`num_classes` must be {labels.num_classes} for the trained weights of `{name}`; got {num_classes}. "
                "For other classes take pretrained=backbone."
            )
        num_classes = labels.num_classes
    num_classes = check_num_classes(num_classes)
    head: dict[str, Any] = {"aux_loss": aux} if has_aux else {}
    module = models.get_model(name, weights=None, weights_backbone=None, num_classes=num_classes, **head)
    if pretrained is True:
        state = _fetch(trained, name)
        kept = {key: value for key, value in state.items() if aux or not key.startswith("aux_classifier.")}
        _fill(module, kept, str(trained))
    elif pretrained == "backbone":
        start = signature["weights_backbone"].default
        _fill_backbone(module.backbone, _fetch(start, name), str(start))
    elif pretrained is not False:
        _fill_backbone(module.backbone, read_state(pretrained), pretrained)
    network = Network(
        module,
        features=_layers(module),
        preprocessing=fed,
        labels=labels,
        spec={
            "source": "torchvision",
            "name": name,
            "num_classes": num_classes,
            "options": {"aux": aux, **feeding_options(fed)},
        },
        num_classes=num_classes,
    )
    if weights is not None:
        load_weights(network, weights)
    return network.train(weights is None and pretrained is not True)


def _layers(module: Any) -> dict[str, str]:
    """The layer behind every name: the ends of the backbone's stages, and what the last convolution reads."""
    backbone = dict(module.backbone.named_children())
    if "layer4" in backbone:
        stages = [f"layer{i}" for i in range(1, 5)]
    else:  # MobileNetV3: a stage ends before the block that halves the map, or that torchvision dilates instead
        stages = [str(int(key) - 1) for key, block in backbone.items() if getattr(block, "_is_cn", False)][1:]
        stages.append(next(reversed(backbone)))
    head = "classifier.cbr" if hasattr(module.classifier, "cbr") else f"classifier.{len(module.classifier) - 2}"
    return {**{f"layer{i}": f"backbone.{stage}" for i, stage in enumerate(stages, 1)}, "head": head}


def _fetch(weights: Any, name: str) -> dict[str, Tensor]:
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except Exception as error:  # each cause, from a closed port to a bad checksum, has its own type
        raise UnavailableError(
            f"torchvision could not fetch its weights of `{name}` ({type(error).__name__}: {error}). "
            f"Without a network, fetch {weights.url} elsewhere and give the file: `weights` for a whole network, "
            "`pretrained` for a backbone."
        ) from error
    return state


def _fill_backbone(backbone: nn.Module, state: Mapping[str, Tensor], origin: str | Path) -> None:
    """Fill it from torchvision's classification network, whose classifier is left out."""
    kept = {key.removeprefix("features."): value for key, value in state.items() if not key.startswith(_CLASSIFIERS)}
    _fill(backbone, kept, origin)


def _fill(module: nn.Module, state: dict[str, Tensor], origin: str | Path) -> None:
    fill(module, state, f"`pretrained`: {origin} must hold torchvision's weights of the network")
