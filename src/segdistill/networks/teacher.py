"""Teacher: a frozen network that is only read, made as cheap as it can be without changing its answers."""

import copy
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from segdistill.networks.classmap import ClassMap
from segdistill.networks.feeding import per_channel
from segdistill.networks.folding import fold_batch_norms
from segdistill.networks.network import Features
from segdistill.networks.reading import LogitsOf
from segdistill.networks.wrapping import as_network
from segdistill.types import SegOutput
from segdistill.util import ArgumentError, FoldError

logger = logging.getLogger(__name__)


class Teacher(nn.Module):
    """A frozen network that answers with logits and named features.

    Always in evaluation mode and without gradients; the network itself is not changed otherwise. With
    ``precision``, ``fold_bn`` or ``compile`` the teacher is a copy of it.

    Args:
        model: Any network: a plain module, or a `Network`, which knows how it is fed and read.
        features: What to read, by the name that terms use: ``{"deep": "backbone.layer4"}``, or a list where
            name and layer are the same. A value is a feature that the network names itself (those of the zoo:
            ``layer1`` ... ``layer4``, ``head``) or the dotted name of one of its layers. Default: all that
            it names itself.
        logits: Takes the network's output to class scores (B, K, h, w). Default: found, see `find_logits`. A network
            without any, a backbone, teaches ``features`` only: its logits are empty, (B, 0, 1, 1).
        mean: Subtracted from each channel of the image, which is RGB in [0, 1]. Default None: nothing.
        std: Each channel is divided by it. Default None: nothing.
        bgr: The network takes blue first. ``mean`` and ``std`` are then in that order.
        image_mean: Mean that the given images were normalised with already, for loops whose images are
            ready for the student; it is undone first.
        image_std: The standard deviation that they were divided by.
        size: (H, W) the network insists on, in pixels. Default None: found by trial; most take any.
        multiple: Sides must be multiples of this number of pixels, and images are padded. Default None: found by trial.
        precision: float32, bfloat16 or float16, whatever autocast is around. The lower ones are autocast, with the
            weights of convolutions and linear layers cast once instead of at every step: the same numbers from
            half the memory. Outputs are as the network gives them. Default None: as the network and the
            surrounding autocast are.
        fold_bn: Fold batch normalisation into the convolutions before it, see `fold_batch_norms`: the same outputs
            up to rounding, with fewer layers. Where that cannot be, a warning says why. Default False.
        compile: ``torch.compile`` the network. Default False.
        classes: Brings its classes to the student's, see `map_classes`: its logits are then those of ``classes.known``.
            Default None: it has the student's classes.
        certainty: Pass on how certain the network is of each pixel, if it says so: losses on logits weigh by it.
            Default True.

    Attributes:
        network: The `Network` that answers.
        num_folded: How many batch normalisations were folded.

    Raises:
        ValueError: If a name in ``features`` is neither a published feature nor a layer, or ``precision`` is
            something else.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 5, 1))
        >>> teacher = Teacher(network, features={"deep": "0"}, mean=(0.5,) * 3, std=(0.5,) * 3)
        >>> output = teacher(torch.rand(2, 3, 16, 16))
        >>> tuple(output.logits.shape), tuple(output.features["deep"].shape)
        ((2, 5, 16, 16), (2, 8, 16, 16))
    """

    image_mean: Tensor | None
    image_std: Tensor | None

    def __init__(
        self,
        model: nn.Module,
        *,
        features: Features | None = None,
        logits: LogitsOf | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        bgr: bool = False,
        image_mean: Sequence[float] | None = None,
        image_std: Sequence[float] | None = None,
        size: tuple[int, int] | None = None,
        multiple: int | None = None,
        precision: torch.dtype | None = None,
        fold_bn: bool = False,
        compile: bool = False,
        classes: ClassMap | None = None,
        certainty: bool = True,
    ) -> None:
        super().__init__()
        if precision not in (None, torch.float32, torch.bfloat16, torch.float16):
            raise ArgumentError(f"`precision` must be torch.float32, bfloat16, float16 or None; got {precision!r}.")
        network = as_network(
            model, role="teacher", features=features, logits=logits, mean=mean, std=std, bgr=bgr, size=size,
            multiple=multiple,
        )  # fmt: skip
        self.network = copy.deepcopy(network) if fold_bn or compile or precision is not None else network
        self.precision = precision
        self.classes, self.certainty = classes, certainty
        device = network.feed.mean.device
        self.register_buffer("image_mean", _given(image_mean, device), persistent=False)
        self.register_buffer("image_std", _given(image_std, device), persistent=False)
        self.eval()
        if classes is not None:
            classes.to(device)
        if precision is not None:
            self.network.module.float()
        self.num_folded = self._fold_batch_norms() if fold_bn else 0
        if precision is not None:
            _cast_weights(self.network.module, precision)
        if compile:
            self.network.module.compile()

    def train(self, mode: bool = True) -> "Teacher":
        """Stay in evaluation mode, whatever a surrounding loop asks for."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, image: Tensor) -> SegOutput:
        """Answer for images (B, 3, H, W): RGB in [0, 1], or as ``image_mean`` and ``image_std`` say."""
        if self.image_std is not None:
            image = image * self.image_std
        if self.image_mean is not None:
            image = image + self.image_mean
        with self._autocast(image.device.type):
            output: SegOutput = self.network(image if self.precision is None else image.float())
        if not self.certainty:
            output = output._replace(certainty=None)
        if self.classes is None:
            return output
        aux = None if output.aux_logits is None else self.classes(output.aux_logits)
        return output._replace(logits=self.classes(output.logits), aux_logits=aux)

    def segment(self, image: Tensor) -> Tensor:
        """Scores of all classes of the student, (B, K, h, w); one that it does not know is never the largest."""
        logits: Tensor = self(image).logits
        return logits if self.classes is None else self.classes.widen(logits)

    @property
    def num_classes(self) -> int | None:
        """Channels of its logits: the classes that student and teacher know; None where it could not be told."""
        return self.network.num_classes if self.classes is None else len(self.classes.known)

    def _autocast(self, device: str) -> AbstractContextManager[Any]:
        if self.precision is None:
            return nullcontext()
        return torch.autocast(device, dtype=self.precision, enabled=self.precision != torch.float32)

    def _fold_batch_norms(self) -> int:
        image = self.network.probe_image()

        def run() -> list[Tensor]:
            output: SegOutput = self.network(image)
            return [output.logits, *output.features.values()]

        try:
            return fold_batch_norms(self.network.module, run)
        except FoldError as error:
            logger.warning("the teacher's batch normalisation stays as it is: %s", error)
            return 0


def _given(values: Sequence[float] | None, device: torch.device) -> Tensor | None:
    return None if values is None else per_channel(values, device)


def _cast_weights(network: nn.Module, dtype: torch.dtype) -> None:
    """Cast the weights that autocast would cast at every call, and no others: statistics of norms stay exact."""
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    fused = (nn.MultiheadAttention, nn.TransformerEncoderLayer)  # whose kernels want all weights of one type
    left = {part for layer in network.modules() if isinstance(layer, fused) for part in layer.modules()}
    for layer in network.modules():
        if isinstance(layer, kinds) and layer not in left:
            layer.to(dtype)
