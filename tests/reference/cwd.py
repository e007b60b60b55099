"""Channel-wise distillation by explicit loops over images, channels and positions."""

import math

from torch import Tensor


def cwd_by_loops(student: Tensor, teacher: Tensor, temperature: float) -> float:
    batch, channels, height, width = teacher.shape
    places = [(y, x) for y in range(height) for x in range(width)]
    total = 0.0
    for b in range(batch):
        for c in range(channels):
            p = _softmax([teacher[b, c, y, x].item() / temperature for y, x in places])
            q = _softmax([student[b, c, y, x].item() / temperature for y, x in places])
            total += sum(p[i] * (math.log(p[i]) - math.log(q[i])) for i in range(len(places)))
    return total * temperature**2 / (batch * channels)


def _softmax(values: list[float]) -> list[float]:
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]
