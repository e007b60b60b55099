"""Boundary IoU and boundary F, pixel by pixel and class by class, on nested lists."""

import math

IGNORED = 255


def counts_by_loops(prediction, target, num_classes, band=0.02, tolerance=0.0075):
    """Nested lists (B, H, W) to (K, 6), in the order of `boundary_counts`."""
    total = [[0] * 6 for _ in range(num_classes)]
    for guess, truth in zip(prediction, target, strict=True):
        height, width = len(truth), len(truth[0])
        diagonal = math.sqrt(height**2 + width**2)
        depth, slack = max(1, round(band * diagonal)), math.ceil(tolerance * diagonal)
        pixels = [(y, x) for y in range(height) for x in range(width)]
        known = {(y, x) for y, x in pixels if truth[y][x] != IGNORED}
        judged = {(y, x) for y, x in pixels if not any(_far(p, (y, x)) <= slack for p in set(pixels) - known)}
        for label in range(num_classes):
            guess_mask = {(y, x) for y, x in known if guess[y][x] == label}
            truth_mask = {(y, x) for y, x in known if truth[y][x] == label}
            guess_band = _band(guess_mask, known, depth)
            truth_band = _band(truth_mask, known, depth)
            guess_contour = _band(guess_mask, known, 1)
            truth_contour = _band(truth_mask, known, 1)
            row = [
                len(guess_band & truth_band),
                len(guess_band | truth_band),
                sum(_has_neighbour(p, truth_contour, slack) for p in guess_contour & judged),
                len(guess_contour & judged),
                sum(_has_neighbour(p, guess_contour, slack) for p in truth_contour & judged),
                len(truth_contour & judged),
            ]
            total[label] = [a + b for a, b in zip(total[label], row, strict=True)]
    return total


def _far(a, b):
    """Chessboard distance."""
    return max(abs(a[0] - b[0]), abs(a[1] - b[1]))


def _band(mask, known, depth):
    outside = known - mask
    return {p for p in mask if any(_far(p, q) <= depth for q in outside)}


def _has_neighbour(p, contour, slack):
    return any((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 <= slack**2 for q in contour)
