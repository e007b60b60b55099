"""How much soft masks overlap."""

import torch
from torch import Tensor


def dice_overlap(masks: Tensor) -> Tensor:
    """Mean Dice coefficient of all pairs among M masks (B, M, N) in [0, 1]; zero for a single mask.

    >>> dice_overlap(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])).item()
    0.0
    >>> dice_overlap(torch.ones(1, 3, 4)).item()
    1.0
    """
    num_masks = masks.shape[1]
    if num_masks == 1:
        return masks.sum() * 0
    products = masks @ masks.mT
    squares = products.diagonal(dim1=1, dim2=2)
    dice = 2 * products / (squares[:, :, None] + squares[:, None]).clamp_min(torch.finfo(masks.dtype).tiny)
    first, second = torch.triu_indices(num_masks, num_masks, offset=1, device=masks.device)
    return dice[:, first, second].mean()
