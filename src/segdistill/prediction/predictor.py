"""Predictor: from an image to a mask, read, resized and fed as scoring does it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor

from segdistill.data import preview, resize_image
from segdistill.engine import Protocol, as_unit, class_scores
from segdistill.labels import LabelTable
from segdistill.networks import Network
from segdistill.prediction.bands import score_bands
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
    def channels(self) -> int:
        """How many channels an image has; three are red, green and blue."""
        return len(self.network.preprocessing.mean)

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
            image: A path, a PIL image, an array (H, W, C) or a tensor (C, H, W), uint8 or float in [0, 1].
            protocol: Scales, flip and window.

        Returns:
            Train ids (H, W), uint8, on the CPU.

        Raises:
            ImageError, DataError: If it is not an image.
        """
        bands = self.bands([self._pixels(image)], protocol)
        return torch.cat([band.argmax(1)[0].to("cpu", torch.uint8) for band in bands])

    def probabilities(self, image: ImageLike, protocol: Protocol = Protocol()) -> Tensor:
        """How likely each class is at each pixel: (K, H, W), float32, on the CPU; arguments as for a mask."""
        bands = self.bands([self._pixels(image)], protocol)
        return torch.cat([as_probabilities(band, protocol)[0].cpu() for band in bands], 1)

    def bands(self, images: Sequence[Tensor], protocol: Protocol) -> Iterator[Tensor]:
        """Scores (B, K, n, W) of images of one size, as scoring takes them, in bands of rows from top to bottom.

        With a window, no map of all classes is as large as an image; without one, there is a single band.

        Args:
            images: What `pixels_of` gives.
            protocol: Scales, flip and window.
        """
        size = (images[0].shape[-2], images[0].shape[-1])
        resized = [resize_image(image, self.image_scale) for image in images]
        self.network.eval()
        if protocol.window is None:
            together = as_unit(torch.stack(resized), self.device)  # stacked as the loader does, to the bit
            yield class_scores(self.network.segment, together, size, protocol)
        else:
            pixels = torch.stack(resized) if len(resized) > 1 else resized[0][None]  # no copy of a large image
            yield from score_bands(self.network.segment, pixels, size, protocol, self.device)

    def mask_image(self, mask: Tensor) -> Image.Image:
        """A palette image whose pixel values are the train ids and whose colours are the classes'."""
        picture = Image.fromarray(mask.numpy(), mode=None).convert("P")
        picture.putpalette([value for color in self.colors for value in color])
        return picture

    def overlay(self, image: ImageLike, mask: Tensor, opacity: float = 0.5) -> Image.Image:
        """The image with the classes' colours laid over it."""
        pixels, colors = preview(self._pixels(image)), torch.tensor(self.colors, dtype=torch.float32)
        mixed = torch.empty(*mask.shape, 3, dtype=torch.uint8)
        for top in range(0, len(mask), 256):  # so that a very large image needs no floats of its size
            rows = slice(top, top + 256)
            here = pixels[:, rows].permute(1, 2, 0).float()
            mixed[rows] = ((1 - opacity) * here + opacity * colors[mask[rows].long()]).round().to(torch.uint8)
        return Image.fromarray(mixed.numpy())

    def _pixels(self, image: ImageLike) -> Tensor:
        return pixels_of(image, channels=self.channels)

    def __repr__(self) -> str:
        about = [
            repr(self.network),
            str(self.device),
            *([f"trained as {name}"] if (name := self.metadata.get("recipe")) else []),
        ]
        return f"Predictor({', '.join(about)}: {', '.join(self.names[:4])}{', ...' if len(self.names) > 4 else ''})"


def as_probabilities(scores: Tensor, protocol: Protocol) -> Tensor:
    """Probabilities of scores (B, K, H, W): of several views the scores are that already."""
    return scores if len(protocol.views) > 1 else scores.softmax(1)
