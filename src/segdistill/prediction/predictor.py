"""Predictor: from an image to a mask, read, resized and fed as scoring does it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor

from segdistill.data import resize_image
from segdistill.engine import Protocol, as_unit, class_scores
from segdistill.labels import LabelTable
from segdistill.networks import Network
from segdistill.prediction.pixels import ImageLike, pixels_of
from segdistill.util import ArgumentError


@dataclass(frozen=True, repr=False)
class Predictor:
    """A network ready to use on images.

    Attributes:
        network: With its class table.
        image_scale: Images are resized by this factor first, as they were in training.
        metadata: What the file says of itself: recipe, score, protocol.

    Raises:
        ArgumentError: If the network does not know its classes.

    Example:
        >>> import numpy as np
        >>> table = LabelTable.from_names(["off", "on"])
        >>> predictor = Predictor(Network(torch.nn.Conv2d(3, 2, 1), labels=table))
        >>> predictor(np.zeros((8, 6, 3), np.uint8)).shape
        torch.Size([8, 6])
    """

    network: Network
    image_scale: float = 1.0
    metadata: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.network.labels is None:
            raise ArgumentError("`network` must know its classes to predict: Network(module, labels=LabelTable(...)).")

    @property
    def labels(self) -> LabelTable:
        """The classes."""
        assert self.network.labels is not None
        return self.network.labels

    @property
    def names(self) -> Sequence[str]:
        """Class names by train id."""
        return self.labels.names

    @property
    def colors(self) -> Sequence[tuple[int, int, int]]:
        """Class colours by train id, RGB, 0 to 255."""
        return self.labels.colors

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.network.feed.mean.device

    def to(self, device: torch.device | str) -> "Predictor":
        """Move the network in place."""
        self.network.to(device)
        return self

    def __call__(self, image: ImageLike, protocol: Protocol = Protocol()) -> Tensor:
        """Segment one image.

        Args:
            image: A path, a PIL image, an array (H, W, 3) or a tensor (3, H, W), uint8 or float in [0, 1].
            protocol: Scales, flip and window.

        Returns:
            Train ids (H, W), uint8, on the CPU.

        Raises:
            ImageError, DataError: If it is not an image.
        """
        pixels = pixels_of(image)
        resized = torch.stack([resize_image(pixels, self.image_scale)])  # stacked as the loader does, to the bit
        self.network.eval()
        scores = class_scores(self.network.segment, as_unit(resized, self.device), pixels.shape[-2:], protocol)
        return scores.argmax(1)[0].to("cpu", torch.uint8)

    def mask_image(self, mask: Tensor) -> Image.Image:
        """A palette image whose pixel values are the train ids and whose colours are the classes'."""
        picture = Image.fromarray(mask.numpy(), mode=None).convert("P")
        picture.putpalette([value for color in self.colors for value in color])
        return picture

    def overlay(self, image: ImageLike, mask: Tensor, opacity: float = 0.5) -> Image.Image:
        """The image with the classes' colours laid over it."""
        pixels = as_unit(pixels_of(image), torch.device("cpu")).permute(1, 2, 0) * 255
        colors = torch.tensor(self.colors, dtype=torch.float32)[mask.long()]
        mixed = (1 - opacity) * pixels + opacity * colors
        return Image.fromarray(mixed.round().to(torch.uint8).numpy())

    def __repr__(self) -> str:
        about = [
            repr(self.network),
            str(self.device),
            *([f"trained as {name}"] if (name := self.metadata.get("recipe")) else []),
        ]
        return f"Predictor({', '.join(about)}: {', '.join(self.names[:4])}{', ...' if len(self.names) > 4 else ''})"
