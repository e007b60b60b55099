"""Bringing an image to what a network takes, and its maps back to the image: colours, size, padding."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segdistill.networks.resampling import is_exporting, resized
from segdistill.types import AS_IT_IS, Preprocessing


def per_channel(values: Sequence[float], device: torch.device | None = None) -> Tensor:
    """A number for each channel as float32 (1, C, 1, 1)."""
    return torch.tensor(values, dtype=torch.float32, device=device).view(1, -1, 1, 1)


class Feed(nn.Module):
    """Bring an RGB image in [0, 1], (B, 3, H, W), to what a network expects; see `Preprocessing`.

    Args:
        preprocessing: What it expects.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.preprocessing = preprocessing
        self.as_it_is = preprocessing[:3] == AS_IT_IS[:3]
        self.register_buffer("mean", per_channel(preprocessing.mean), persistent=False)
        self.register_buffer("std", per_channel(preprocessing.std), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Normalise in float32 or more, resize or pad; the dtype of ``image`` is kept."""
        if not self.as_it_is:
            dtype = image.dtype
            image = image.flip(1) if self.preprocessing.bgr else image
            image = ((image - self.mean) / self.std).to(dtype)
        size = self.preprocessing.size
        if size is not None:
            if tuple(image.shape[-2:]) != tuple(size):
                if is_exporting():  # by what every runtime computes alike
                    return resized(image, size)
                image = F.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)
            return image
        missing = [-side % self.preprocessing.multiple for side in image.shape[-2:]]
        if self.preprocessing.multiple == 1 or not (is_exporting() or any(missing)):
            return image  # an exported graph asks no size whether it fits: it pads, by nothing if it does
        return F.pad(image, (0, missing[1], 0, missing[0]))


def resize_logits(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear, corners aligned, as the published protocol has it; the identity if the size fits."""
    if tuple(logits.shape[-2:]) == tuple(size):
        return logits
    return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=True)


def cut_logits(logits: Tensor, fed: Sequence[int], size: Sequence[int]) -> Tensor:
    """The logits of the image of ``size`` in the corner of the padded one of ``fed``, at that size."""
    return resize_logits(logits, fed)[..., : size[0], : size[1]]


def cut_map(feature: Tensor, fed: Sequence[int], size: Sequence[int]) -> Tensor:
    """The positions of a map that see the image of ``size`` in the corner of the padded one of ``fed``."""
    rows, columns = (
        -(-side * length // whole) for side, length, whole in zip(feature.shape[-2:], size, fed, strict=True)
    )
    return feature[..., :rows, :columns]
