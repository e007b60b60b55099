"""What is shipped: everything between an image and its classes, as one module."""

from torch import Tensor, nn

from segdistill.networks import ImageLayout, Network, resize_logits, shrink


class Deployable(nn.Module):
    """Normalise, run the network, resize to the image; optionally choose the class.

    Args:
        network: The network.
        image_scale: The image is resized by this factor first, as it was in training; in float, where scoring rounds
            to bytes.
        argmax: Give class ids instead of logits.
        layout: What an image is: ``"float"``: (B, C, H, W) in [0, 1]; ``"uint8"``: (B, H, W, C), 0 to 255. RGB.

    Example:
        >>> import torch
        >>> ship = Deployable(Network(nn.Conv2d(3, 5, 3, stride=4)), argmax=True)
        >>> ship(torch.rand(2, 3, 32, 48)).shape
        torch.Size([2, 32, 48])
    """

    def __init__(
        self, network: Network, *, image_scale: float = 1.0, argmax: bool = False, layout: ImageLayout = "float"
    ) -> None:
        super().__init__()
        self.network = network
        self.image_scale = image_scale
        self.argmax = argmax
        self.layout = layout

    def forward(self, image: Tensor) -> Tensor:
        """From images to logits (B, K, H, W), or ids (B, H, W)."""
        if self.layout == "uint8":
            image = image.permute(0, 3, 1, 2).float() / 255
        size = image.shape[-2:]
        if self.image_scale != 1:
            image = shrink(image, self.image_scale)
        logits = resize_logits(self.network.segment(image).float(), size)
        return logits.argmax(1) if self.argmax else logits
