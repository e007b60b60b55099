"""ACAM-KD by explicit loops over images, positions, masks and channels."""

import math

import torch
from torch import Tensor


def acam_by_loops(student: Tensor, teacher: Tensor, weights: dict[str, Tensor]) -> tuple[float, float, float]:
    """Spatial, channel and diversity part of maps (B, C, N) with the parameters of the loss."""
    parts = [_image(s, t, weights) for s, t in zip(student, teacher, strict=True)]
    spatial, channel, diversity = (sum(values) / len(parts) for values in zip(*parts, strict=True))
    return spatial, channel, diversity


def _image(student: Tensor, teacher: Tensor, weights: dict[str, Tensor]) -> tuple[float, float, float]:
    channels, places = teacher.shape

    def project(name: str, pixel: Tensor) -> Tensor:
        return weights[f"{name}.weight"][:, :, 0, 0] @ pixel + weights[f"{name}.bias"]

    fused, errors = [], []
    for x in range(places):
        query = project("query", teacher[:, x])
        keys = [project("key", student[:, y]) for y in range(places)]
        powers = [math.exp((query @ key).item() / math.sqrt(len(query))) for key in keys]
        values = [project("value", student[:, y]) for y in range(places)]
        fused.append(sum(power / sum(powers) * value for power, value in zip(powers, values, strict=True)))
        errors.append((teacher[:, x] - project("align", student[:, x])) ** 2)
    pooled = sum(fused) / places
    by_place = [error.mean().item() for error in errors]
    by_channel = (sum(errors) / places).tolist()
    position_masks = [[_sigmoid(token @ z) for z in fused] for token in weights["spatial"]]
    channel_masks = [[_sigmoid(token[c] * pooled[c]) for c in range(channels)] for token in weights["channel"]]
    return (
        sum(_mean(by_place, mask) for mask in position_masks) / len(position_masks),
        sum(_mean(by_channel, mask) for mask in channel_masks) / len(channel_masks),
        _overlap(position_masks) + _overlap(channel_masks),
    )


def _mean(values: list[float], mask: list[float]) -> float:
    return sum(m * value for m, value in zip(mask, values, strict=True)) / sum(mask)


def _overlap(masks: list[list[float]]) -> float:
    pairs = [(i, j) for i in range(len(masks)) for j in range(i)]
    dice = [
        2 * sum(a * b for a, b in zip(masks[i], masks[j], strict=True)) / sum(a * a for a in masks[i] + masks[j])
        for i, j in pairs
    ]
    return sum(dice) / max(1, len(dice))


def _sigmoid(x: Tensor) -> float:
    return torch.sigmoid(x).item()
