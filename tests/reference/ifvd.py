"""Intra-class feature variation by explicit loops over pixels and classes."""

import math

from torch import Tensor


def ifvd_by_loops(student: Tensor, teacher: Tensor, labels: Tensor, ignore: int) -> float:
    """All three at one size."""
    batch, height, width = labels.shape
    total = 0.0
    for b in range(batch):
        places = [(y, x) for y in range(height) for x in range(width)]
        for y, x in places:
            label = labels[b, y, x].item()
            same = [(y, x)] if label == ignore else [(i, j) for i, j in places if labels[b, i, j] == label]
            total += (_similarity(student[b], (y, x), same) - _similarity(teacher[b], (y, x), same)) ** 2
    return total / (batch * height * width)


def _similarity(features: Tensor, place: tuple[int, int], same: list[tuple[int, int]]) -> float:
    pixel = features[:, place[0], place[1]].tolist()
    mean = [sum(features[c, y, x].item() for y, x in same) / len(same) for c in range(len(features))]
    product = sum(a * b for a, b in zip(pixel, mean, strict=True))
    return product / math.hypot(*pixel) / math.hypot(*mean)
