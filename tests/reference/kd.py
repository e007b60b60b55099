"""Logits distillation by explicit loops over pixels and classes."""

import math

from torch import Tensor


def kd_by_loops(student: Tensor, teacher: Tensor, temperature: float, counts: Tensor | None = None) -> float:
    batch, classes, height, width = student.shape
    total, pixels = 0.0, 0
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                if counts is not None and not counts[b, y, x]:
                    continue
                pixels += 1
                p = _softmax([teacher[b, k, y, x].item() / temperature for k in range(classes)])
                q = _softmax([student[b, k, y, x].item() / temperature for k in range(classes)])
                total += sum(p[k] * (math.log(p[k]) - math.log(q[k])) for k in range(classes))
    return total / pixels * temperature**2


def _softmax(values: list[float]) -> list[float]:
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]
