"""Dense contrast by explicit loops over images, patches, positions and groups."""

import torch
from torch import Tensor


def dense_contrast_by_loops(
    student: Tensor,
    teacher: Tensor,
    *,
    groups: int,
    patch_size: tuple[int, int],
    temperature: float,
    distance: str,
    negatives: str,
) -> tuple[Tensor, set[int]]:
    """Return the loss and the set of the numbers of negatives that anchors had."""
    batch, _, height, width = student.shape
    rows, columns = patch_size
    height, width = height - height % rows, width - width % columns
    groups = 1 if negatives == "spatial" else groups
    total, counts = student.new_zeros(()), set()
    for image in range(batch):
        for top in range(0, height, rows):
            for left in range(0, width, columns):
                places = [(top + i, left + j) for i in range(rows) for j in range(columns)]
                cells = [(place, group) for place in places for group in range(groups)]
                for anchor in cells:
                    others = [cell for cell in cells if is_negative(negatives, anchor, cell)]
                    counts.add(len(others))
                    logits = [
                        similarity(
                            vector(student, image, anchor, groups),
                            vector(teacher, image, cell, groups),
                            distance,
                        )
                        / temperature
                        for cell in [anchor, *others]
                    ]
                    total = total - torch.stack(logits).log_softmax(0)[0]
    return total / (batch * height * width), counts


def is_negative(negatives: str, anchor: tuple, cell: tuple) -> bool:
    (anchor_place, anchor_group), (place, group) = anchor, cell
    if negatives == "other_groups":
        return group != anchor_group
    if negatives == "channel":
        return group != anchor_group and place == anchor_place
    return cell != anchor


def vector(x: Tensor, image: int, cell: tuple, groups: int) -> Tensor:
    (row, column), group = cell
    length = x.shape[1] // groups
    return x[image, group * length : (group + 1) * length, row, column]


def similarity(a: Tensor, b: Tensor, distance: str) -> Tensor:
    if distance == "l1":
        return -(a - b).abs().sum()
    if distance == "l2":
        return -(a - b).square().sum().sqrt()
    return (a * b).sum() / (a.square().sum().sqrt() * b.square().sum().sqrt()) - 1
