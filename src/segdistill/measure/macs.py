"""How many multiplications a network takes for an image."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@torch.no_grad()
def count_macs(network: nn.Module, channels: int, size: Sequence[int]) -> int:
    """Multiplications of convolutions, matrix products and attention for one image, counted by torch while it runs.

    Args:
        network: Takes images (B, C, H, W) in [0, 1].
        channels: C.
        size: (H, W), pixels.
    """
    weight = next(network.parameters(), torch.zeros(()))
    image: Tensor = torch.zeros(1, channels, *size, device=weight.device)
    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as counter:
        network(image)
    return int(counter.get_total_flops()) // 2
