"""What is shipped: everything between an image and its classes, as one module."""

import torch.nn.functional as F
from torch import Tensor, nn

from segdistill.networks import Network, resize_logits


class Deployable(nn.Module):
    """Normalise, run the network, resize to the image; optionally choose the class.

    Args:
        network: The network.
        image_scale: The image is resized by this factor first, as it was in training.
        argmax: Give class ids instead of logits.

    Example:
        >>> import torch
        >>> ship = Deployable(Network(nn.Conv2d(3, 5, 3, stride=4)), argmax=True)
        >>> ship(torch.rand(2, 3, 32, 48)).shape
        torch.Size([2, 32, 48])
    """

    def __init__(self, network: Network, *, image_scale: float = 1.0, argmax: bool = False) -> None:
        super().__init__()
        self.network = network
        self.image_scale = image_scale
        self.argmax = argmax

    def forward(self, image: Tensor) -> Tensor:
        """From RGB images in [0, 1], (B, 3, H, W), to logits (B, K, H, W), or ids (B, H, W)."""
        size = image.shape[-2:]
        if self.image_scale != 1:
            small = [max(1, round(side * self.image_scale)) for side in size]
            image = F.interpolate(image, size=small, mode="bilinear", align_corners=False, antialias=True)
        logits = resize_logits(self.network.segment(image).float(), size)
        return logits.argmax(1) if self.argmax else logits
