"""Af-DCD as published: every step as a plain operation on the whole batch, in float32."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def published_contrast(
    student: Tensor,
    teacher: Tensor,
    *,
    groups: int = 16,
    patch_size: tuple[int, int] = (4, 4),
    temperature: float = 0.07,
    distance: str = "l1",
    negatives: str = "other_groups",
) -> Tensor:
    """All distances of a patch, the negatives gathered by a boolean mask, cross-entropy over what is left.

    The authors' code has ``l1`` and ``other_groups``; the other choices go the same way.
    """
    anchors, others = (_cells(x, groups, patch_size, negatives) for x in (student, teacher))
    if distance == "cosine":
        logits = F.normalize(anchors, dim=-1) @ F.normalize(others, dim=-1).mT / temperature
    else:
        logits = -torch.cdist(anchors, others, p=1.0 if distance == "l1" else 2.0) / temperature
    sets, count, _ = logits.shape
    same_cell = torch.eye(count, dtype=torch.bool, device=logits.device)
    group = torch.arange(count, device=logits.device) % groups
    negative = group[:, None] != group[None, :] if negatives == "other_groups" else ~same_cell
    positives = logits[:, same_cell].reshape(sets * count, 1)
    rest = logits[:, negative].reshape(sets * count, -1)
    first = torch.zeros(sets * count, dtype=torch.long, device=logits.device)
    total = F.cross_entropy(torch.cat([positives, rest], dim=1), first, reduction="sum")
    positions = sets * count // (1 if negatives == "spatial" else groups)
    return total / positions


def _cells(x: Tensor, groups: int, patch_size: tuple[int, int], negatives: str) -> Tensor:
    """(sets, cells, numbers of a cell)."""
    rows, columns = patch_size
    x = x[..., : x.shape[2] // rows * rows, : x.shape[3] // columns * columns]
    patches = x.unfold(2, rows, rows).unfold(3, columns, columns)  # B, C, patch row, patch column, row, column
    patches = patches.permute(0, 2, 3, 4, 5, 1).reshape(-1, rows * columns, x.shape[1])
    if negatives == "spatial":
        return patches.contiguous()
    cells = patches.reshape(len(patches), rows * columns, groups, -1)
    return cells.flatten(0, 1) if negatives == "channel" else cells.flatten(1, 2)


class PublishedAfDCD(nn.Module):
    """The two losses as published; parameters are named as those of `segdistill.AfDCDLoss`."""

    def __init__(self, student_channels: int, teacher_channels: int, *, pool_size: int = 4, **contrast: Any) -> None:
        super().__init__()
        self.pool_size, self.contrast = pool_size, contrast
        self.align = nn.Conv2d(student_channels, teacher_channels, 1)
        self.generator = nn.Module()
        self.generator.conv1 = nn.Conv2d(teacher_channels, teacher_channels, 3, padding=1)
        self.generator.conv2 = nn.Conv2d(teacher_channels, teacher_channels, 3, padding=1)

    def forward(self, student: Tensor, teacher: Tensor, *, keep: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(mimic, contrast)."""
        if keep is None:
            drawn = torch.rand(len(teacher), 1, *teacher.shape[2:], device=teacher.device, dtype=torch.float32)
            keep = (drawn <= 0.25).to(teacher.dtype)
        hidden = self.align(student) * keep
        generated = self.generator.conv2(F.relu(self.generator.conv1(hidden)))
        mimic = F.mse_loss(generated, teacher, reduction="sum") / len(teacher)
        if self.pool_size > 1:
            generated, teacher = (F.max_pool2d(x, self.pool_size) for x in (generated, teacher))
        return mimic, published_contrast(generated, teacher, **self.contrast)
