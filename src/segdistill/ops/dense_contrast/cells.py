"""Cutting maps into sets of cells that are compared with each other.

Shape letters of this package: B images, C channels, H W space, P patches, N positions of a patch, G channel groups,
D = C / G, R cells that are compared with each other, S such sets.
"""

import torch
from torch import Tensor


def cut_cells(x: Tensor, groups: int, patch_size: tuple[int, int], negatives: str) -> Tensor:
    """Cut a map (B, C, H, W) into sets (S, R, D) of cells; an anchor's negatives are in its own set."""
    batch, channels, height, width = x.shape
    rows, columns = patch_size
    groups = 1 if negatives == "spatial" else groups
    cells = x.reshape(batch, groups, channels // groups, height // rows, rows, width // columns, columns)
    cells = cells.permute(0, 3, 5, 4, 6, 1, 2)  # B, patch row, patch column, row, column, G, D
    cells_PNGD = cells.flatten(3, 4).flatten(0, 2)
    return cells_PNGD.flatten(0, 1) if negatives == "channel" else cells_PNGD.flatten(1, 2)


def join_cells(cells: Tensor, shape: torch.Size, patch_size: tuple[int, int]) -> Tensor:
    """Undo `cut_cells` for a map of ``shape``."""
    batch, channels, height, width = shape
    rows, columns = patch_size
    cells = cells.reshape(batch, height // rows, width // columns, rows, columns, channels)
    return cells.permute(0, 5, 1, 3, 2, 4).reshape(shape)


def same_group_elsewhere(cells: int, groups: int, device: torch.device) -> Tensor:
    """Return (R, R), true for pairs of one channel group at different positions; cells are group-minor."""
    cell_R = torch.arange(cells, device=device)
    same_group_RR = cell_R[:, None] % groups == cell_R % groups
    return same_group_RR & (cell_R[:, None] != cell_R)
