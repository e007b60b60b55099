"""Network: a segmentation network of any origin, with all that is needed to use it.

From an image in [0, 1] to a `SegOutput` there is this one path: students, teachers, scoring, prediction, profiling and
the report's pictures all call it.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final

import torch
from torch import Tensor, nn

from segdistill.labels import LabelTable
from segdistill.networks.feeding import Feed, cut_logits, cut_map
from segdistill.networks.layouts import Layout, Tap, as_map, find_layout, pick, split_tap, words_of
from segdistill.networks.modes import evaluating
from segdistill.networks.reading import LogitsOf, Recorder, has_logits, read_output
from segdistill.networks.resampling import is_exporting
from segdistill.types import AS_IT_IS, Preprocessing, SegOutput
from segdistill.util import ArgumentError, NetworkError, nearest

logger = logging.getLogger(__name__)

Features = Mapping[str, str] | Sequence[str]

_PROBES: Final = ((128, 192), (112, 168), (224, 224))
"""Sizes of the images of a trial run, until the network takes one: of patches of 14, and of the one fixed size, too."""


class Network(nn.Module):
    """Any segmentation module: how it is fed, how its output is read, its classes, and what builds it again.

    The module stays as it is. Its layers are read by forward hooks that live during a call only.

    Args:
        module: Any module that takes images (B, 3, H, W).
        features: What to read beside the logits, by the name that terms use: ``{"deep": "backbone.layer4"}``, or a
            list where name and layer are the same. A value is a feature of the `SegOutput` that the module returns,
            or the dotted name of one of its layers; of a layer that gives several maps, ``encoder[-1]``; what a layer
            is given, ``classifier[input]``. Default: all features of its `SegOutput`, if it returns one.
        logits: From what the module returns to class scores. Default: found, see `find_logits`.
        preprocessing: How it is fed. Default: images are ready as they are given.
        labels: Its classes, where they are known.
        spec: What `create_network` takes to build it again, as JSON can hold it; None: it cannot be built by name.
        channels: Width of every feature of its `SegOutput`, where they are known; spares the trial run.
        num_classes: Channels of the logits, where they are known. One channel counts as two classes, see `read_output`;
            0: the module scores no classes, as a backbone, and its logits are empty, (B, 0, 1, 1).
        role: What messages call it.

    Attributes:
        module: The plain module.
        channels: Width of every named feature; those that a trial run on a small image could not tell are missing.
        num_classes: Channels of the logits; None where it could not be told, 0 without classes.

    Raises:
        NetworkError: If a feature is neither given by the module nor one of its layers.

    Example:
        >>> network = Network(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 5, 1)), features={"deep": "0"})
        >>> output = network(torch.rand(2, 3, 16, 16))
        >>> tuple(output.logits.shape), tuple(output.features["deep"].shape), network.channels
        ((2, 5, 16, 16), (2, 8, 16, 16), {'deep': 8})
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        features: Features | None = None,
        logits: LogitsOf | None = None,
        preprocessing: Preprocessing | None = None,
        labels: LabelTable | None = None,
        spec: Mapping[str, Any] | None = None,
        channels: Mapping[str, int] | None = None,
        num_classes: int | None = None,
        role: str = "network",
    ) -> None:
        super().__init__()
        if isinstance(module, Network) or not isinstance(module, nn.Module):
            raise ArgumentError(f"`module` must be a plain torch module; got {type(module).__name__}.")
        self.module = module
        self.logits_of = logits
        self.preprocessing = preprocessing or AS_IT_IS
        self.labels, self.spec, self.role = labels, None if spec is None else dict(spec), role
        self.feed = Feed(self.preprocessing).to(a_weight(module).device)
        self.given = dict(channels or {})  # features that the module itself names
        self.channels: dict[str, int] = {}
        self.hooked: dict[str, Tap] = {}
        self.num_classes = 2 if num_classes == 1 else num_classes  # a sigmoid's channel is read as two
        sources = features.values() if isinstance(features, Mapping) else features or ()
        layers = dict(module.named_modules())
        if (channels is None or num_classes is None) and not (
            sources and all(split_tap(name)[0] in layers for name in sources)
        ):
            self._try()
        self.taps: dict[str, str] = {name: name for name in self.given}
        self.layouts: dict[str, Layout] = {}
        self._recorders: dict[str, Recorder] = {}
        self._tap(features)
        if labels is not None and self.num_classes is not None and labels.num_classes != self.num_classes:
            raise NetworkError(
                f"the {role} must name its {self.num_classes} classes; its label table has {labels.num_classes}."
            )

    def reading(self, features: Features) -> "Network":
        """The same module, read for other features beside those that it names itself."""
        more = features if isinstance(features, Mapping) else {name: name for name in features}
        return Network(
            self.module,
            features={**self.taps, **more},
            logits=self.logits_of,
            preprocessing=self.preprocessing,
            labels=self.labels,
            spec=self.spec,
            channels=self.given,
            num_classes=self.num_classes,
            role=self.role,
        )

    def forward(self, image: Tensor) -> SegOutput:
        """Run on an RGB image in [0, 1], (B, 3, H, W), and name what is asked for."""
        if not image.is_floating_point():
            raise ArgumentError(
                f"`images` of the {self.role} must be floating point in [0, 1]; got {image.dtype}. Divide by 255."
            )
        fed = self.feed(image)
        output = self._read(self._run_hooked(fed) if self.hooked else self.module(fed), fed)
        features = {}
        for name, source in self.taps.items():
            if name in self.hooked:
                feature = self._recorders[name].take()
                if feature is None:
                    raise NetworkError(f"layer {source!r} of the {self.role} did not run, so it has no feature.")
                features[name] = self._laid_out(name, feature, fed)
            else:
                features[name] = output.features[source]
        # An exported graph asks no size: where it pads, it cuts.
        whole = self.preprocessing.multiple == 1 if is_exporting() else fed.shape == image.shape
        if whole or self.preprocessing.size is not None:
            return output._replace(features=features)
        size, padded = image.shape[-2:], fed.shape[-2:]
        aux, certainty = output.aux_logits, output.certainty
        return SegOutput(
            cut_logits(output.logits, padded, size) if output.logits.shape[1] else output.logits,
            None if aux is None else cut_logits(aux, padded, size),
            {name: cut_map(feature, padded, size) for name, feature in features.items()},
            None if certainty is None else cut_logits(certainty[:, None], padded, size)[:, 0],
        )

    def _read(self, raw: Any, fed: Tensor) -> SegOutput:
        """What the module returned; a teacher that is tapped for features need not score classes."""
        if self.num_classes is None and self.role == "teacher" and self.hooked and self.logits_of is None:
            self.num_classes = None if has_logits(raw) else 0
        if self.num_classes == 0:
            return SegOutput(fed.new_empty(len(fed), 0, 1, 1))
        return read_output(raw, self.logits_of)

    def _laid_out(self, name: str, output: Any, fed: Tensor) -> Tensor:
        """The output of a layer as a map; how it is laid out is found at the first call, which is the trial run."""
        tap, origin, size = self.hooked[name], f"layer {self.taps[name]!r} of the {self.role}", fed.shape[-2:]
        output = pick(output, tap.indices, origin)
        if name not in self.layouts:
            self.layouts[name] = find_layout(output, len(fed), size, origin, *words_of(self.module, tap.layer))
        return as_map(output, self.layouts[name], size, origin)

    def segment(self, image: Tensor) -> Tensor:
        """Class scores alone, (B, K, h, w)."""
        logits: Tensor = self(image).logits
        return logits

    def probe_image(self) -> Tensor:
        """Noise (1, C, H, W), always the same, of the type and on the device of the module.

        It is wider than high where the network takes any size, so that its maps show which axes are which.
        """
        return self._noise(self.preprocessing.size or _PROBES[0])

    def _noise(self, size: tuple[int, int]) -> Tensor:
        noise = torch.rand(1, len(self.preprocessing.mean), *size, generator=torch.Generator().manual_seed(0))
        return noise.to(a_weight(self.module))

    def __repr__(self) -> str:
        made = type(self.module).__name__ if self.spec is None else f"{self.spec['source']} {self.spec['name']}"
        params = sum(parameter.numel() for parameter in self.module.parameters()) / 1e6
        return f"Network({made}, {self.num_classes} classes, {params:.2f} M parameters)"

    def _tap(self, features: Features | None) -> None:
        """Note what to read, and find the widths of layers by a trial run."""
        if features is None:
            self.channels = dict(self.given)
            return
        self.taps = dict(features) if isinstance(features, Mapping) else {name: name for name in features}
        layers = dict(self.module.named_modules())
        for name, source in self.taps.items():
            if source not in self.given and split_tap(source)[0] not in layers:
                raise NetworkError(
                    f"`features[{name!r}]` must name a feature or a layer of the {self.role}; got {source!r}. "
                    f"{nearest(source, [*self.given, *filter(None, layers)])}"
                )
        self.hooked = {name: split_tap(source) for name, source in self.taps.items() if source not in self.given}
        self._recorders = {name: Recorder() for name in self.hooked}
        self.channels = {name: self.given[source] for name, source in self.taps.items() if source in self.given}
        if self.hooked and (output := self.trial(self)) is not None:
            self.channels = {name: feature.shape[1] for name, feature in output.features.items()}
            self.num_classes = output.logits.shape[1]

    def _try(self) -> None:
        """Learn from a trial run what the module gives: widths of its own features, number of classes."""
        output = self.trial(lambda image: self._read(self.module(self.feed(image)), image))
        if output is not None:
            self.num_classes = output.logits.shape[1]
            self.given = {name: feature.shape[1] for name, feature in output.features.items()}

    def trial(self, run: Any) -> SegOutput | None:
        """One run on noise, in evaluation mode; None if the module does not take such an image.

        That is no error: what is not known yet is checked at the first step.
        """
        for size in _PROBES if self.preprocessing.size is None else (self.preprocessing.size,):
            try:
                # code that is compiled now would know no hooks
                with evaluating(self.module), torch.no_grad(), torch.compiler.set_stance("force_eager"):
                    output: SegOutput = run(self._noise(size))
            except NetworkError:
                raise
            except Exception as error:  # a foreign network may raise anything
                logger.info("the %s does not take a %dx%d probe image (%s)", self.role, *size, error)
                continue
            self._refuse_no_map(output)
            return output
        return None

    def _refuse_no_map(self, output: SegOutput) -> None:
        for name, feature in output.features.items():
            if feature.dim() != 4:
                raise NetworkError(
                    f"feature {name!r} of the {self.role} must be a map (B, C, h, w); got {tuple(feature.shape)}. "
                    "Let the module give a map, or tap one of its layers by name."
                )

    # The module is still compiled; hooks that come and go cannot be.
    @torch.compiler.disable(recursive=False)  # type: ignore[no-untyped-call, untyped-decorator]
    def _run_hooked(self, image: Tensor) -> Any:
        with ExitStack() as hooks:
            for name, tap in self.hooked.items():
                layer = self.module.get_submodule(tap.layer)
                register = layer.register_forward_pre_hook if tap.of_input else layer.register_forward_hook
                hooks.callback(register(self._recorders[name]).remove)
            return self.module(image)


def a_weight(network: nn.Module) -> Tensor:
    """Some parameter of a network, for its device and type; a float32 zero where it has none."""
    return next(network.parameters(), torch.zeros(()))
