"""DIST by explicit loops over pixels and classes."""

import math

from torch import Tensor


def dist_by_loops(student: Tensor, teacher: Tensor, beta: float, gamma: float, temperature: float) -> float:
    q, p = (_probabilities(logits, temperature) for logits in (student, teacher))
    pixels, classes = range(len(q)), range(len(q[0]))
    inter = [_pearson(q[i], p[i]) for i in pixels]
    intra = [_pearson([q[i][k] for i in pixels], [p[i][k] for i in pixels]) for k in classes]
    return temperature**2 * (beta * (1 - sum(inter) / len(inter)) + gamma * (1 - sum(intra) / len(intra)))


def _probabilities(logits: Tensor, temperature: float) -> list[list[float]]:
    batch, classes, height, width = logits.shape
    rows = []
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                powers = [math.exp(logits[b, k, y, x].item() / temperature) for k in range(classes)]
                rows.append([power / sum(powers) for power in powers])
    return rows


def _pearson(x: list[float], y: list[float]) -> float:
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    x, y = [value - mean_x for value in x], [value - mean_y for value in y]
    product = sum(a * b for a, b in zip(x, y, strict=True))
    lengths = math.sqrt(sum(a * a for a in x)) * math.sqrt(sum(b * b for b in y))
    return product / (lengths + 1e-8)
