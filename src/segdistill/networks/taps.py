"""Reading a network that we did not write: its logits, and the maps of its layers by name.

`Tapped` feeds a network, takes the class scores out of whatever it returns, and the output of any layer by a
forward hook that lives only during the call. `Teacher` and `Distiller` are built on it.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segdistill.types import SegOutput
from segdistill.util import NetworkError, nearest

logger = logging.getLogger(__name__)

LogitsOf = Callable[[Any], Tensor]


def resize_logits(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear, corners aligned, as the published protocol has it; the identity if the size fits."""
    if tuple(logits.shape[-2:]) == tuple(size):
        return logits
    return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=True)


def per_channel(values: Sequence[float] | None, device: torch.device | None = None) -> Tensor | None:
    """A number for each channel as float32 (1, C, 1, 1)."""
    return None if values is None else torch.tensor(values, dtype=torch.float32, device=device).view(1, -1, 1, 1)


class Normalise(nn.Module):
    """Bring an RGB image in [0, 1], (B, 3, H, W), to what a network expects; see `Preprocessing`.

    Args:
        mean: Subtracted from each channel; None for nothing.
        std: Each channel is divided by it; None for nothing.
        bgr: Flip the channels first.
    """

    mean: Tensor | None
    std: Tensor | None

    def __init__(self, mean: Sequence[float] | None, std: Sequence[float] | None, *, bgr: bool = False) -> None:
        super().__init__()
        self.bgr = bgr
        self.register_buffer("mean", per_channel(mean), persistent=False)
        self.register_buffer("std", per_channel(std), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Normalise, in float32 or more; the dtype of ``image`` is kept."""
        if self.bgr:
            image = image.flip(1)
        dtype = image.dtype
        if self.mean is not None:
            image = image - self.mean
        return (image if self.std is None else image / self.std).to(dtype)


class Tapped(nn.Module):
    """A network, how to feed it, and what to read from its output and its layers.

    Holds what `Teacher` and `Distiller` share, for one network. The network is given at each call and is not
    a child of this module.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        role: str,
        features: Mapping[str, str] | Sequence[str] | None,
        logits: LogitsOf | None,
        mean: Sequence[float] | None,
        std: Sequence[float] | None,
        bgr: bool,
        size: tuple[int, int] | None,
    ) -> None:
        super().__init__()
        if features is not None and not isinstance(features, Mapping):
            features = {name: name for name in features}
        self.role = role
        self.logits_of = logits
        self.normalise = Normalise(mean, std, bgr=bgr)
        self.size = size
        published: dict[str, int] = dict(getattr(network, "feature_channels", {}))
        self.taps: dict[str, str] = dict(features) if features is not None else {name: name for name in published}
        layers = dict(network.named_modules())
        for name, source in self.taps.items():
            if source not in published and source not in layers:
                raise NetworkError(
                    f"`features[{name!r}]` must name a feature or a layer of the {role}; got {source!r}. "
                    f"{nearest(source, [*published, *filter(None, layers)])}"
                )
        self.hooked = {name: source for name, source in self.taps.items() if source not in published}
        self._recorders = {name: _Recorder() for name in self.hooked}
        self.to(a_weight(network).device)
        self.channels, self.num_classes = self._probe(network, published)

    def _probe(self, network: nn.Module, published: dict[str, int]) -> tuple[dict[str, int], int | None]:
        """Widths of the tapped maps and the number of classes, found without the user's data.

        Our networks publish both. Another network is run once on a small image; one that refuses such an image
        is not an error: then widths are checked at the first step.
        """
        known = {name: published[source] for name, source in self.taps.items() if source in published}
        num_classes = getattr(network, "num_classes", None)
        if not self.hooked and published:
            return known, num_classes
        image = self.probe_image(network)
        training = {module: module.training for module in network.modules()}
        try:
            network.eval()
            with torch.no_grad():
                output = self(network, image)
        except NetworkError:
            raise
        except Exception as error:  # a foreign network may raise anything
            logger.info("the %s does not take a %dx%d probe image (%s)", self.role, *image.shape[-2:], error)
            return known, num_classes
        finally:
            for module, mode in training.items():
                module.training = mode
        return {name: feature.shape[1] for name, feature in output.features.items()}, output.logits.shape[1]

    def probe_image(self, network: nn.Module) -> Tensor:
        """Noise (1, 3, H, W), always the same, of the type and on the device of the network."""
        noise = torch.rand(1, 3, *(self.size or (128, 128)), generator=torch.Generator().manual_seed(0))
        return noise.to(a_weight(network))

    def forward(self, network: nn.Module, image: Tensor) -> SegOutput:
        """Run ``network`` on an RGB image in [0, 1] and name what is asked for."""
        image = self.normalise(image)
        if self.size is not None and tuple(image.shape[-2:]) != self.size:
            image = F.interpolate(image, size=self.size, mode="bilinear", align_corners=False, antialias=True)
        raw = self._run_hooked(network, image) if self.hooked else network(image)
        output = self._read(raw)
        features = {}
        for name, source in self.taps.items():
            if name in self.hooked:
                feature = self._recorders[name].take()
                if feature is None:
                    raise NetworkError(f"layer {source!r} of the {self.role} did not run, so it has no feature.")
                features[name] = as_map(feature, image.shape[-2:], f"layer {source!r} of the {self.role}")
            else:
                features[name] = output.features[source]
        return SegOutput(output.logits, output.aux_logits, features)

    # The network is still compiled; hooks that come and go cannot be.
    @torch.compiler.disable(recursive=False)  # type: ignore[no-untyped-call, untyped-decorator]
    def _run_hooked(self, network: nn.Module, image: Tensor) -> Any:
        with ExitStack() as hooks:
            for name, layer in self.hooked.items():
                hook = network.get_submodule(layer).register_forward_hook(self._recorders[name])
                hooks.callback(hook.remove)
            return network(image)

    def _read(self, raw: Any) -> SegOutput:
        if isinstance(raw, SegOutput) and self.logits_of is None:
            return raw
        aux = raw.get("aux") if isinstance(raw, Mapping) else None
        return SegOutput(find_logits(raw) if self.logits_of is None else self.logits_of(raw), aux, {})


def a_weight(network: nn.Module) -> Tensor:
    """Some parameter of a network, for its device and type; a float32 zero where it has none."""
    return next(network.parameters(), torch.zeros(()))


class _Recorder:
    """A forward hook that keeps the layer's last output until it is taken.

    One object for all calls: compiled code holds on to the hook that it was traced with.
    """

    def __init__(self) -> None:
        self.output: Any = None

    def __call__(self, _module: nn.Module, _args: Any, output: Any) -> None:
        self.output = output

    def take(self) -> Any:
        output, self.output = self.output, None
        return output


def find_logits(output: Any) -> Tensor:
    """The class scores in what a network returned.

    Understands a tensor, a mapping with ``"out"`` or ``"logits"`` (torchvision, some of Hugging Face), an
    object with ``.logits`` (Hugging Face) and a sequence whose first entry is a tensor.

    Raises:
        NetworkError: For anything else; the message says to give a callable.
    """
    found = output
    if isinstance(output, Mapping):
        found = next((output[key] for key in ("out", "logits") if key in output), None)
    elif hasattr(output, "logits"):
        found = output.logits
    elif isinstance(output, (tuple, list)) and output:
        found = output[0]
    if isinstance(found, Tensor) and found.dim() == 4:
        return found
    shape = f" of shape {tuple(found.shape)}" if isinstance(found, Tensor) else ""
    raise NetworkError(
        f"a network's output must be or contain logits (B, K, h, w); got {type(output).__name__}{shape}. "
        "Give `logits=`, a function from the output to such a tensor."
    )


def as_map(feature: Any, image_size: Sequence[int], origin: str) -> Tensor:
    """Bring a layer's output to (B, C, h, w).

    The first tensor of a tuple counts. Tokens (B, N, C) are laid out on the grid that has the image's aspect
    ratio; one extra token in front (the class token) is dropped.

    Raises:
        NetworkError: If the output is no map and cannot be laid out as one.
    """
    if isinstance(feature, (tuple, list)) and feature:
        feature = feature[0]
    if isinstance(feature, Tensor) and feature.dim() == 4:
        return feature
    if isinstance(feature, Tensor) and feature.dim() == 3:
        num_tokens = feature.shape[1]
        for extra in (0, 1):
            height = round(math.sqrt((num_tokens - extra) * image_size[0] / image_size[1]))
            if height and (num_tokens - extra) % height == 0:
                width = (num_tokens - extra) // height
                return feature[:, extra:].transpose(1, 2).reshape(len(feature), -1, height, width)
    got = tuple(feature.shape) if isinstance(feature, Tensor) else type(feature).__name__
    raise NetworkError(f"{origin} must give a map (B, C, h, w) or tokens (B, N, C); got {got}. Tap another layer.")
