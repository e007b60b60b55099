"""The discriminator of adversarial distillation: does a class map come from the teacher?"""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


class SelfAttention(nn.Module):
    """Every position reads all others; added with a factor that starts at 0. (B, C, H, W) to the same shape.

    Args:
        channels: C, a multiple of 8.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 8, 1)
        self.key = nn.Conv2d(channels, channels // 8, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Add what each position gathers from the map."""
        query, key, value = (layer(x).flatten(2) for layer in (self.query, self.key, self.value))
        # Written out: the fused attention kernels have no second derivative, which the gradient penalty needs.
        attention = (query.mT @ key).softmax(dim=-1)
        gathered: Tensor = (value @ attention.mT).view_as(x)
        return x + self.gamma * gathered


class Discriminator(nn.Module):
    """Scores of class maps, high where they look like the teacher's.

    BatchNorm on the logits, four 4x4 convolutions of stride 2 with spectral norm and LeakyReLU (64, 128, 256, 512
    channels), self-attention after the third and the fourth, a 4x4 convolution to one channel. A map of at
    least 64x64 shrinks to a map of scores. A smaller one would shrink to nothing: zeros are put below and to the
    right of a map that is smaller than the next kernel needs, so that it ends in a single score.

    Args:
        num_classes: Channels of the map.

    Source:
        Liu et al., CVPR 2019, after the discriminator of SAGAN; for maps of 64x64 and more the same layers.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        widths = (num_classes, 64, 128, 256, 512)
        self.norm = nn.BatchNorm2d(num_classes)
        self.convs = nn.ModuleList(
            spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1))
            for before, after in itertools.pairwise(widths)
        )
        self.attentions = nn.ModuleList([nn.Identity(), nn.Identity(), SelfAttention(256), SelfAttention(512)])
        self.score = nn.Conv2d(512, 1, 4)

    def forward(self, logits: Tensor) -> Tensor:
        """Return the scores (B, 1, h', w') of logits (B, num_classes, h, w)."""
        x = self.norm(logits)
        for conv, attention in zip(self.convs, self.attentions, strict=True):
            x = attention(F.leaky_relu(conv(_at_least(2, x)), 0.1))
        scores: Tensor = self.score(_at_least(4, x))
        return scores


def _at_least(side: int, x: Tensor) -> Tensor:
    """Pad with zeros below and to the right where the map is smaller than ``side``."""
    height, width = x.shape[-2:]
    return F.pad(x, (0, max(0, side - width), 0, max(0, side - height)))
