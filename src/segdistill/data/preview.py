"""Any image as a picture that a person can look at."""

import torch
from torch import Tensor

_TAILS = (0.01, 0.99)
_LOOKED_AT = 100_000  # pixels: more say nothing new


def preview(image: Tensor) -> Tensor:
    """An image of any channels and depth as RGB of 8 bits.

    Channels are the first three, or the first one repeated where there are fewer. Images of more than 8 bits are
    stretched so that the hundredth part at each end is black and white: cameras of 12 bits use little of 16.

    Args:
        image: (C, H, W), uint8, or float from 0 to 1.

    Returns:
        (3, H, W), uint8; the image itself where it is that already.

    Example:
        >>> preview(torch.full((4, 2, 2), 7, dtype=torch.uint8)).tolist()
        [[[7, 7], [7, 7]], [[7, 7], [7, 7]], [[7, 7], [7, 7]]]
    """
    shown = image[:3] if len(image) >= 3 else image[:1].expand(3, -1, -1)
    if shown.dtype == torch.uint8:
        return shown
    values = shown.flatten()
    low, high = torch.quantile(values[:: max(1, len(values) // _LOOKED_AT)], torch.tensor(_TAILS)).tolist()
    stretched: Tensor = ((shown - low) / max(high - low, 1e-6) * 255).clamp(0, 255).round().to(torch.uint8)
    return stretched
