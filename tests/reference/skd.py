"""Structured knowledge distillation by explicit loops over nodes, and its discriminator layer by layer."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def skd_pairwise_by_loops(student: Tensor, teacher: Tensor, kernel: tuple[int, int]) -> float:
    total, count = 0.0, 0
    for b in range(student.shape[0]):
        s, t = _nodes(student[b], kernel), _nodes(teacher[b], kernel)
        for i in range(len(s)):
            for j in range(len(s)):
                total += (_cosine(s[i], s[j]) - _cosine(t[i], t[j])) ** 2
                count += 1
    return total / count


def _nodes(x: Tensor, kernel: tuple[int, int]) -> list[list[float]]:
    """The largest value of each channel in each cell block; blocks at the far borders may be cut."""
    channels, height, width = x.shape
    return [
        [x[c, y : y + kernel[0], z : z + kernel[1]].max().item() for c in range(channels)]
        for y in range(0, height, kernel[0])
        for z in range(0, width, kernel[1])
    ]


def _cosine(a: list[float], b: list[float]) -> float:
    lengths = math.sqrt(sum(v * v for v in a)) * math.sqrt(sum(v * v for v in b))
    return sum(v * w for v, w in zip(a, b, strict=True)) / lengths if lengths else 0.0


def scores_by_layers(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """Scores of maps of at least 64x64 in evaluation mode, from the tensors of a discriminator's state."""
    mean, var = state["norm.running_mean"], state["norm.running_var"]
    x = (x - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
    x = x * state["norm.weight"][:, None, None] + state["norm.bias"][:, None, None]
    for i in range(4):
        weight = state[f"convs.{i}.parametrizations.weight.original"]
        u, v = (state[f"convs.{i}.parametrizations.weight.0.{name}"] for name in ("_u", "_v"))
        largest = u @ weight.flatten(1) @ v  # singular value
        x = F.conv2d(x, weight / largest, state[f"convs.{i}.bias"], stride=2, padding=1)
        x = torch.where(x > 0, x, 0.1 * x)
        if i >= 2:
            x = _attend({k.split(".", 2)[2]: v for k, v in state.items() if k.startswith(f"attentions.{i}.")}, x)
    return F.conv2d(x, state["score.weight"], state["score.bias"])


def _attend(state: dict[str, Tensor], x: Tensor) -> Tensor:
    out = x.clone()
    for b in range(x.shape[0]):
        q, k, v = (
            torch.einsum("oc,chw->ohw", state[f"{name}.weight"][:, :, 0, 0], x[b])
            + state[f"{name}.bias"][:, None, None]
            for name in ("query", "key", "value")
        )
        for y in range(x.shape[2]):
            for z in range(x.shape[3]):
                likeness = torch.einsum("c,chw->hw", q[:, y, z], k).exp()
                out[b, :, y, z] += state["gamma"] * (v * likeness / likeness.sum()).sum(dim=(1, 2))
    return out
