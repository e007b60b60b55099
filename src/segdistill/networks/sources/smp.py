"""segmentation_models_pytorch: every architecture of the library on its own encoders and on timm's."""

import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from segdistill.networks.arguments import (
    FEEDING,
    as_json,
    check_num_classes,
    check_options,
    feeding_options,
    require,
    split_feeding,
)
from segdistill.networks.checkpoints import load_weights
from segdistill.networks.network import Network
from segdistill.types import Preprocessing, SegOutput
from segdistill.util import ArgumentError, UnavailableError, first_line, nearest

_NOT_OPTIONS: Final = {
    "classes": "the number of classes comes from `num_classes`",
    "in_channels": "the image has as many channels as `mean` has numbers",
    "encoder_weights": "weights of the encoder are asked for by `pretrained`",
    "activation": "losses and scores need the plain logits",
    "aux_params": "it labels whole images, and makes no auxiliary map",
}
"""Arguments of the library that are not options, and why."""

_DEEPER: Final = {"DPT": 2, "PAN": 8}
"""Decoders that make the deepest map smaller still, and by how much."""

_STRIDE: Final = "encoder_output_stride"


class _Parts(nn.Module):
    """The parts of a network of the library, under its own names, with the maps between them."""

    def __init__(self, model: Any, stages: list[int]) -> None:
        super().__init__()
        self.encoder, self.decoder, self.segmentation_head = model.encoder, model.decoder, model.segmentation_head
        self.stages = stages

    def forward(self, image: Tensor) -> SegOutput:
        """Segment normalised images (B, C, H, W) whose sides are multiples of the encoder's stride."""
        encoded = self.encoder(image)
        with_tokens = isinstance(encoded, tuple) and not isinstance(encoded[0], Tensor)  # of a vision transformer
        maps, more = encoded if with_tokens else (encoded, None)
        head = self.decoder(maps, more) if with_tokens else self.decoder(maps)
        names = [f"layer{i}" for i in range(5 - len(self.stages), 5)]
        features = {name: maps[index] for name, index in zip(names, self.stages, strict=True)}
        return SegOutput(self.segmentation_head(head), features={**features, "head": head})


def create(
    name: str,
    *,
    num_classes: int | None,
    weights: str | Path | None,
    pretrained: bool | str | Path,
    options: Mapping[str, Any],
) -> Network:
    """Build a network of segmentation_models_pytorch; its tensors have the library's names.

    Args:
        name: An architecture: ``Unet``, ``FPN``, ``DeepLabV3Plus``, ``Segformer``, ``DPT``, ...
        num_classes: Channels of the logits.
        weights: A file of the whole network: of `save_network`, or a state dict as safetensors or ``.pth``.
        pretrained: ImageNet weights of the encoder: True lets the library fetch them, a path is a safetensors file
            with timm's keys (or the library's, for encoders that timm does not have).
        options: Arguments of the architecture, each checked against its signature, because the library swallows what it
            does not know; ``encoder``, further arguments of timm for ``tu-`` encoders; ``mean``, ``std``, ``bgr``.

    Raises:
        ArgumentError: If an argument does not exist or is out of range; unknown names list the nearest.
        WeightsError, MissingFileError: If a file is missing or does not fit.
        UnavailableError: If the library is not installed or its weights cannot be fetched.
    """
    library = require("segmentation_models_pytorch", needed_by="the source `smp`", extra="smp")
    known = _architectures(library)
    if name not in known:
        raise ArgumentError(f"`name` must be an architecture of smp; got {name!r}. {nearest(name, known)}")
    num_classes = check_num_classes(num_classes)
    _check(name, known, options)
    arguments: dict[str, Any] = dict(options)
    encoder = arguments.setdefault("encoder_name", known[name]["encoder_name"].default)
    _check_encoder(library, encoder)
    fed, arguments = split_feeding(arguments, _published(library, encoder, fetch=pretrained is True))
    if name == "DPT":  # a vision transformer is else bound to the size that it was trained on
        arguments.setdefault("encoder", {"dynamic_img_size": True})
    arguments = as_json("options", arguments)
    module = _build(library, name, num_classes, len(fed.mean), arguments, pretrained)
    size = None
    if name == "DPT" and not arguments["encoder"].get("dynamic_img_size"):
        size = tuple(module.encoder.input_size[1:])
    multiple = int(module.encoder.output_stride) * _DEEPER.get(name, 1)
    fed = fed._replace(multiple=multiple, size=size)
    _freeze_unread(module, torch.zeros(1, len(fed.mean), *(size or [max(64, multiple)] * 2)), name, encoder)
    spec_options = {**arguments, **feeding_options(fed)}
    network = Network(
        module,
        preprocessing=fed,
        spec={"source": "smp", "name": name, "num_classes": num_classes, "options": spec_options},
    )
    if weights is not None:
        load_weights(network, weights)
    return network.train(weights is None)


def _architectures(library: Any) -> dict[str, Mapping[str, inspect.Parameter]]:
    """The signature of every architecture."""
    base = library.base.SegmentationModel
    classes = [value for value in vars(library).values() if isinstance(value, type) and issubclass(value, base)]
    return {value.__name__: inspect.signature(value).parameters for value in classes}


def _check(name: str, known: Mapping[str, Mapping[str, inspect.Parameter]], options: Mapping[str, Any]) -> None:
    for key in options:
        if key in _NOT_OPTIONS:
            raise ArgumentError(f"`options.{key}` must be left out for smp: {_NOT_OPTIONS[key]}.")
    if _STRIDE in options and _STRIDE not in known[name]:
        able = ", ".join(other for other in known if _STRIDE in known[other])
        raise ArgumentError(
            f"`options.{_STRIDE}` must be left out for `{name}`, which would ignore it; {able} honour it."
        )
    named = [key for key, value in known[name].items() if value.kind is value.POSITIONAL_OR_KEYWORD and key != "self"]
    check_options(options, [*(set(named) - set(_NOT_OPTIONS)), "encoder", *FEEDING], f"smp's `{name}`")
    encoder = options.get("encoder", {})
    if not isinstance(encoder, Mapping):
        raise ArgumentError(f"`options.encoder` must be a mapping of arguments of timm; got {encoder!r}.")
    taken = sorted({"in_chans", "pretrained", "features_only", "out_indices", "output_stride", "name"} & set(encoder))
    if taken or any(key in known[name] for key in encoder):
        raise ArgumentError(f"`options.encoder` must hold arguments of timm alone; got {', '.join(encoder)}.")
    if encoder and not str(options.get("encoder_name", known[name]["encoder_name"].default)).startswith("tu-"):
        raise ArgumentError("`options.encoder` must be left out for smp's own encoders, which would ignore it.")


def _check_encoder(library: Any, encoder: Any) -> None:
    import timm

    if not isinstance(encoder, str):
        raise ArgumentError(f"`options.encoder_name` must be a name; got {encoder!r}.")
    own = library.encoders.get_encoder_names()
    # A colon would make timm fetch a description from elsewhere, and names come from files too.
    if encoder.startswith("tu-") and (":" in encoder or not timm.is_model(encoder[3:])):
        raise ArgumentError(
            f"`options.encoder_name` must be `tu-` and a network of timm; got {encoder!r}. "
            f"{nearest(encoder, [f'tu-{known}' for known in timm.list_models()])}"
        )
    if not encoder.startswith("tu-") and encoder not in own:
        raise ArgumentError(
            f"`options.encoder_name` must be an encoder of smp, or `tu-` and a network of timm; got {encoder!r}. "
            f"{nearest(encoder, own)}"
        )


def _of_timm(encoder: str) -> str | None:
    """The name that timm has for an encoder; None if timm does not have it."""
    import timm

    name = encoder.removeprefix("tu-").removeprefix("timm-")
    return name if timm.is_model(name) else None


def _published(library: Any, encoder: str, *, fetch: bool) -> Preprocessing:
    """What the encoder's ImageNet weights were trained with; the library itself has to fetch that."""
    import timm

    published: Mapping[str, Any] = {}
    if fetch and not encoder.startswith("tu-"):
        try:
            published = library.encoders.get_preprocessing_params(encoder)
        except Exception as error:  # each cause, from a closed port to a bad checksum, has its own type
            raise _unavailable(encoder, error) from error
    elif timm_name := _of_timm(encoder):
        config = timm.get_pretrained_cfg(timm_name)
        published = {} if config is None else {"mean": config.mean, "std": config.std}
    default = Preprocessing()
    return default._replace(
        mean=tuple(published.get("mean") or default.mean), std=tuple(published.get("std") or default.std)
    )


def _build(
    library: Any,
    name: str,
    num_classes: int,
    channels: int,
    arguments: Mapping[str, Any],
    pretrained: bool | str | Path,
) -> Any:
    given = {key: value for key, value in arguments.items() if key != "encoder"} | arguments.get("encoder", {})
    given |= {"in_channels": channels, "classes": num_classes}
    encoder = arguments["encoder_name"]

    def build(weights: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of the names `timm-...`, which stay in use
            return getattr(library, name)(**given, encoder_weights=weights)

    try:
        model = build(None)
    except Exception as error:  # the library refuses with key, type, value and runtime errors alike
        raise ArgumentError(
            f"`options` must be those that smp's `{name}` takes on the encoder `{encoder}`; it refuses them "
            f"({first_line(error)})."
        ) from error
    if pretrained is True:
        try:
            model = build(True if encoder.startswith("tu-") else "imagenet")
        except Exception as error:  # each cause, from a closed port to a bad checksum, has its own type
            raise _unavailable(encoder, error) from error
    elif pretrained is not False:
        _fill_encoder(model.encoder, encoder, pretrained, channels)
    widths = list(model.encoder.out_channels)
    first = 0 if name == "DPT" else 1  # elsewhere the first map is the image or has its size
    return _Parts(model, [index for index in range(first, len(widths)) if widths[index] > 0][-4:])


def _fill_encoder(encoder: Any, name: str, path: str | Path, channels: int) -> None:
    from segdistill.networks.zoo.pretrained import load_backbone

    module = encoder.model if name.startswith("tu-") else encoder
    load_backbone(module, path, name=_of_timm(name) or name, channels=channels)


def _freeze_unread(module: nn.Module, image: Tensor, name: str, encoder: str) -> None:
    """Freeze what does not reach the logits, such as stages below a shallow decoder: several processes wait for it."""
    parameters = list(module.parameters())
    try:
        logits = module.eval()(image).logits
        gradients = torch.autograd.grad(logits.sum(), parameters, allow_unused=True)
    except Exception as error:  # a decoder and an encoder that do not fit fail where they meet
        raise ArgumentError(
            f"`options` must fit together; smp's `{name}` on `{encoder}` does not run ({first_line(error)})."
        ) from error
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.requires_grad_(gradient is not None)


def _unavailable(encoder: str, error: Exception) -> UnavailableError:
    return UnavailableError(
        f"smp could not fetch its weights of `{encoder}` ({first_line(error)}). "
        "Without a network, pass pretrained=PATH of a safetensors file."
    )
