"""Attention transfer by explicit loops over images and positions."""

import math

from torch import Tensor


def attention_by_loops(features: Tensor) -> list[float]:
    """Attention of one image (C, h, w), row by row."""
    channels, height, width = features.shape
    energy = [
        sum(features[c, y, x].item() ** 2 for c in range(channels)) / channels
        for y in range(height)
        for x in range(width)
    ]
    length = math.sqrt(sum(value**2 for value in energy))
    return [value / length for value in energy]


def at_by_loops(student: Tensor, teacher: Tensor) -> float:
    total, positions = 0.0, 0
    for one, other in zip(student, teacher, strict=True):
        for s, t in zip(attention_by_loops(one), attention_by_loops(other), strict=True):
            total += (s - t) ** 2
            positions += 1
    return total / positions
