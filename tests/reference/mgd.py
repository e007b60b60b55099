"""Masked generative distillation by explicit loops over positions, channels and kernel offsets."""

from torch import Tensor


def mgd_by_loops(student: Tensor, teacher: Tensor, keep: Tensor, parameters: dict[str, Tensor]) -> float:
    total = 0.0
    for b, x in enumerate(generate_by_loops(student, keep, parameters)):
        for c, plane in enumerate(x):
            for i, row in enumerate(plane):
                for j, value in enumerate(row):
                    total += (value - teacher[b, c, i, j].item()) ** 2
    return total / len(teacher)


def generate_by_loops(student: Tensor, keep: Tensor, parameters: dict[str, Tensor]) -> list[list[list[list[float]]]]:
    """``[b][c][y][x]`` of the plain generator."""
    images = []
    for b in range(len(student)):
        x = _convolve(student[b].tolist(), parameters["align.weight"], parameters["align.bias"])
        x = [
            [[value * keep[b, 0, i, j].item() for j, value in enumerate(row)] for i, row in enumerate(plane)]
            for plane in x
        ]
        x = _convolve(x, parameters["generator.conv1.weight"], parameters["generator.conv1.bias"])
        x = [[[max(value, 0.0) for value in row] for row in plane] for plane in x]
        x = _convolve(x, parameters["generator.conv2.weight"], parameters["generator.conv2.bias"])
        images.append(x)
    return images


def _convolve(planes: list[list[list[float]]], weight: Tensor, bias: Tensor) -> list[list[list[float]]]:
    """A convolution of odd kernel size, zeros outside the map."""
    height, width, reach = len(planes[0]), len(planes[0][0]), weight.shape[-1] // 2
    kernels, offsets = weight.tolist(), range(-reach, reach + 1)

    def at(kernel: list[list[list[float]]], i: int, j: int) -> float:
        return sum(
            kernel[c][di + reach][dj + reach] * plane[i + di][j + dj]
            for c, plane in enumerate(planes)
            for di in offsets
            for dj in offsets
            if 0 <= i + di < height and 0 <= j + dj < width
        )

    return [
        [[at(kernel, i, j) + constant for j in range(width)] for i in range(height)]
        for kernel, constant in zip(kernels, bias.tolist(), strict=True)
    ]
