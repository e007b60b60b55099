"""Optimizers and learning-rate schedule."""

from collections.abc import Iterable

import torch
from torch import nn

from segdistill.distill import Distiller
from segdistill.util import ArgumentError


def make_optimizer(
    parameters: Iterable[nn.Parameter], *, name: str, lr: float, momentum: float, weight_decay: float
) -> torch.optim.Optimizer:
    """SGD with momentum, or AdamW; weight decay on all parameters, as the authors have it.

    Raises:
        ValueError: If ``name`` is neither ``"sgd"`` nor ``"adamw"``.
    """
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay)
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)
    raise ArgumentError(f"`name` must be 'sgd' or 'adamw'; got {name!r}.")


def make_optimizers(
    distiller: Distiller, *, name: str, lr: float, momentum: float, weight_decay: float
) -> list[torch.optim.Optimizer]:
    """The optimizer of student and losses, then those that losses bring for parameters of their own.

    Only the first follows the schedule; see `make_optimizer` for its arguments.
    """
    brought = [loss.own_optimizer() for loss in distiller.distillation_losses().values()]
    own = [optimizer for optimizer in brought if optimizer is not None]
    taken = {id(parameter) for optimizer in own for parameter in parameters_of(optimizer)}
    others = [parameter for parameter in distiller.parameters() if id(parameter) not in taken]
    return [make_optimizer(others, name=name, lr=lr, momentum=momentum, weight_decay=weight_decay), *own]


def parameters_of(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """All parameters that an optimizer steps."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def poly_lr(step: int, iterations: int, *, lr: float, power: float, min_lr: float = 0.0) -> float:
    """Learning rate of a step, counted from 0: ``lr * (1 - step / iterations) ** power``.

    Example:
        >>> poly_lr(0, 100, lr=0.02, power=0.9), poly_lr(100, 100, lr=0.02, power=0.9, min_lr=1e-4)
        (0.02, 0.0001)
    """
    return float(max(lr * (1 - step / iterations) ** power, min_lr))


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every group the same learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr
