"""What a teacher says of the student's classes, by explicit loops over pixels and classes."""

import math

from torch import Tensor


def mapped_by_loops(logits: Tensor, sources: list[list[int]]) -> list[list[list[list[float]]]]:
    """Probabilities of the student's classes that have sources: sums of the teacher's, the rest left out."""
    batch, classes, height, width = logits.shape
    images = []
    for b in range(batch):
        rows = []
        for y in range(height):
            row = []
            for x in range(width):
                powers = [math.exp(logits[b, k, y, x].item()) for k in range(classes)]
                sums = [sum(powers[j] / sum(powers) for j in channels) for channels in sources if channels]
                row.append([value / sum(sums) for value in sums])
            rows.append(row)
        images.append(rows)
    return images
