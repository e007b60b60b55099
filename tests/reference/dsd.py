"""Double similarity distillation by explicit loops over images, maps, positions and channels."""

import math

from tests.reference.at import attention_by_loops
from torch import Tensor


def dsd_by_loops(
    student: list[Tensor], teacher: list[Tensor], temperature: float, paper: bool = False
) -> tuple[float, float]:
    attention, category = [], []
    for b in range(len(teacher[0])):
        gained, wanted = (_residuals([maps[b] for maps in side]) for side in (student, teacher))
        attention += [(g - w) ** 2 for g, w in zip(gained, wanted, strict=True)]
        overlaps, aims = (_overlaps(side[-1][b], temperature, paper) for side in (student, teacher))
        category += [(o - a) ** 2 for o, a in zip(overlaps, aims, strict=True)]
    return sum(attention) / len(attention), sum(category) / len(category)


def _residuals(maps: list[Tensor]) -> list[float]:
    attention = [attention_by_loops(x) for x in maps]
    if len(maps) == 1:
        mean = sum(attention[0]) / len(attention[0])
        return _unit([value - mean for value in attention[0]])
    values = []
    for n in range(len(maps)):
        for m in range(n + 1, len(maps)):
            values += _unit([attention[m][i] - attention[n][i] for i in range(len(attention[n]))])
    return values


def _overlaps(logits: Tensor, temperature: float, paper: bool) -> list[float]:
    rows = []
    for plane in logits:
        powers = [math.exp(value / temperature) for value in _pooled(plane)]
        row = [power / sum(powers) for power in powers]
        rows.append(row if paper else _unit(row))
    return [sum(a * b for a, b in zip(one, other, strict=True)) for one in rows for other in rows]


def _pooled(plane: Tensor) -> list[float]:
    height, width = plane.shape
    values = []
    for y in range(0, height, 2):
        for x in range(0, width, 2):
            window = [plane[i, j].item() for i in range(y, min(y + 2, height)) for j in range(x, min(x + 2, width))]
            values.append(sum(window) / len(window))
    return values


def _unit(values: list[float]) -> list[float]:
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values]
