"""Scores of very large images, band by band: no map of all classes is ever as large as the image."""

import math
from collections.abc import Iterator
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from segdistill.engine import Protocol, Segment, as_unit, slide_rows
from segdistill.networks import resize_logits

BAND: Final = 64
"""Rows of the output that are finished at once."""


@torch.no_grad()
def score_bands(
    segment: Segment, images: Tensor, size: tuple[int, int], protocol: Protocol, device: torch.device
) -> Iterator[Tensor]:
    """What `class_scores` gives under a protocol with a window, in bands of rows from top to bottom.

    Equal up to the rounding of floats. Memory grows with the width of the image and the height of the window.

    Args:
        segment: The network.
        images: (B, 3, h, w), bytes or floats; they stay where they are.
        size: Height and width of the scores.
        protocol: With a window.
        device: Of the network.
    """
    assert protocol.window is not None
    views = [
        _View(segment, images, size, scale, mirrored, protocol.window, device) for scale, mirrored in protocol.views
    ]
    for top in range(0, size[0], BAND):
        bottom = min(top + BAND, size[0])
        total: Tensor | None = None
        for view in views:
            scores = view.scores(top, bottom)
            if len(views) > 1:
                scores = scores.softmax(1) / len(views)
            total = scores if total is None else total + scores
        assert total is not None
        yield total


class _View:
    """One scale of the images, mirrored or not: its logits at the size of the output, from top to bottom."""

    def __init__(
        self,
        segment: Segment,
        images: Tensor,
        size: tuple[int, int],
        scale: float,
        mirrored: bool,
        window: tuple[int, int],
        device: torch.device,
    ) -> None:
        self.images, self.size, self.scale, self.mirrored, self.device = images, size, scale, mirrored, device
        self.height, self.width = (math.floor(side * scale) if scale != 1 else side for side in images.shape[-2:])
        self.finished: Final = slide_rows(segment, self.pixels, (self.height, self.width), window)
        self.held: list[Tensor] = []
        self.first = 0  # the row of the view that `held` begins with

    def pixels(self, top: int, bottom: int) -> Tensor:
        """Rows of the view, float in [0, 1]."""
        if self.scale == 1:
            rows = as_unit(self.images[..., top:bottom, :], self.device)
        else:  # along the height as torch's antialiased filter does it, for these rows alone
            reach = max(1.0, 1 / self.scale)
            centers = (torch.arange(top, bottom, dtype=torch.float64) + 0.5) / self.scale
            start = max(0, math.floor(centers[0].item() - reach))
            end = min(self.images.shape[-2], math.ceil(centers[-1].item() + reach))
            distance = (torch.arange(start, end) + 0.5 - centers[:, None]).abs() / reach
            weights = (1 - distance).clamp(min=0)
            weights = (weights / weights.sum(1, keepdim=True)).float().to(self.device)
            rows = weights @ as_unit(self.images[..., start:end, :], self.device)
            rows = F.interpolate(rows, scale_factor=(1.0, self.scale), mode="bilinear", antialias=True)
        return rows.flip(-1) if self.mirrored else rows

    def scores(self, top: int, bottom: int) -> Tensor:
        """Logits (B, K, bottom - top, W) of rows of the output; calls go from top to bottom."""
        step = (self.height - 1) / (self.size[0] - 1) if self.size[0] > 1 else 0.0
        position = torch.arange(top, bottom, dtype=torch.float64) * step
        above = position.floor().long().clamp(max=self.height - 1)
        below = (above + 1).clamp(max=self.height - 1)
        block = self._rows(int(above[0]), int(below[-1]) + 1)
        if self.height != self.size[0]:
            part = (position - above).float().view(-1, 1).to(block.device)
            above, below = (above - above[0]).to(block.device), (below - above[0]).to(block.device)
            block = block[:, :, above] * (1 - part) + block[:, :, below] * part
        block = resize_logits(block[:, :, : bottom - top], (bottom - top, self.size[1]))
        return block.flip(-1) if self.mirrored else block

    def _rows(self, start: int, end: int) -> Tensor:
        """Logits of rows of the view; earlier ones are forgotten."""
        while self.first + sum(part.shape[2] for part in self.held) < end:
            if self.held:  # a copy, so that the memory of what is passed is free before more is computed
                held = torch.cat(self.held, 2)
                passed = min(start - self.first, held.shape[2])
                self.held, self.first = [held[:, :, passed:].clone()], self.first + passed
                del held
            self.held.append(next(self.finished))
        parts, first = [], self.first
        for part in self.held:
            parts.append(part[:, :, max(0, start - first) : max(0, end - first)])
            first += part.shape[2]
        return torch.cat(parts, 2)
