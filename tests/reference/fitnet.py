"""FitNet by explicit loops over positions and channels."""

from torch import Tensor


def fitnet_by_loops(student: Tensor, teacher: Tensor, weight: Tensor) -> float:
    batch, channels, height, width = teacher.shape
    total = 0.0
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                for c in range(channels):
                    projected = sum(weight[c, k].item() * student[b, k, y, x].item() for k in range(student.shape[1]))
                    total += (projected - teacher[b, c, y, x].item()) ** 2
    return total / (batch * channels * height * width)
