"""Both stages of MasKD by explicit loops over tokens, channels and pixels."""

import math

from torch import Tensor

from segdistill.types import IGNORE_INDEX


def masks_by_loops(teacher: Tensor, tokens: Tensor) -> list[list[list[list[float]]]]:
    """``[b][t][y][x]``."""
    batch, classes, height, width = teacher.shape
    return [
        [
            [
                [
                    1 / (1 + math.exp(-sum(tokens[t, k].item() * teacher[b, k, y, x].item() for k in range(classes))))
                    for x in range(width)
                ]
                for y in range(height)
            ]
            for t in range(tokens.shape[0])
        ]
        for b in range(batch)
    ]


def maskd_by_loops(student: Tensor, teacher: Tensor, tokens: Tensor) -> float:
    batch, classes, height, width = teacher.shape
    masks, values = masks_by_loops(teacher, tokens), []
    for b in range(batch):
        for mask in masks[b]:
            for k in range(classes):
                top, bottom = 0.0, 1e-5
                for y in range(height):
                    for x in range(width):
                        top += (mask[y][x] * (student[b, k, y, x].item() - teacher[b, k, y, x].item())) ** 2
                        bottom += mask[y][x]
                values.append(top / bottom)
    return 0.5 * sum(values) / len(values)


def token_loss_by_loops(teacher: Tensor, labels: Tensor, tokens: Tensor) -> float:
    batch, classes, height, width = teacher.shape
    masks = masks_by_loops(teacher, tokens)
    entropies = []
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                if labels[b, y, x] == IGNORE_INDEX:
                    continue
                seen = sum(mask[y][x] for mask in masks[b])
                scores = [seen * teacher[b, k, y, x].item() for k in range(classes)]
                entropies.append(math.log(sum(math.exp(v) for v in scores)) - scores[int(labels[b, y, x])])
    dices = []
    for b in range(batch):
        flat = [[v for row in mask for v in row] for mask in masks[b]]
        for i, a in enumerate(flat):
            for j, c in enumerate(flat):
                if i != j:
                    both = sum(v * w for v, w in zip(a, c, strict=True))
                    dices.append(2 * both / (sum(v * v for v in a) + sum(w * w for w in c)))
    return sum(entropies) / max(1, len(entropies)) + sum(dices) / max(1, len(dices))
