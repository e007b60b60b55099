"""Af-DCD by explicit loops: the generator of MGD, a max-pooling, the dense contrast."""

import torch
from tests.reference.dense_contrast import dense_contrast_by_loops
from tests.reference.mgd import generate_by_loops, mgd_by_loops
from torch import Tensor


def af_dcd_by_loops(
    student: Tensor, teacher: Tensor, keep: Tensor, parameters: dict[str, Tensor], *, pool_size: int, **options: object
) -> tuple[float, float]:
    """Mimic and contrast."""
    generated = torch.tensor(generate_by_loops(student, keep, parameters), dtype=torch.float64)
    value, _ = dense_contrast_by_loops(_pool(generated, pool_size), _pool(teacher, pool_size), **options)
    contrast = 0.0 if value.isnan() else value.item()  # no patch fits into the map
    return mgd_by_loops(student, teacher, keep, parameters), contrast


def _pool(x: Tensor, size: int) -> Tensor:
    """Maxima of whole windows."""
    batch, channels, height, width = x.shape
    pooled = x.new_zeros(batch, channels, height // size, width // size)
    for y in range(height // size):
        for z in range(width // size):
            pooled[:, :, y, z] = x[:, :, y * size : (y + 1) * size, z * size : (z + 1) * size].amax((2, 3))
    return pooled
