"""Everything needed to continue, in one safetensors file that is replaced in one step.

A crash at any moment leaves the old file or the new one. There is no random state in it: the loop seeds itself
at every step from (seed, step, process), see `engine.train`.
"""

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from segdistill.engine.optim import parameters_of
from segdistill.util import CheckpointError, seal, unsealed, write_atomic

FORMAT = "segdistill-checkpoint-3"


class Checkpoint(NamedTuple):
    """A file's content.

    Attributes:
        model: State of the distiller.
        optimizer: Tensors by ``<optimizer>.<parameter>.<name>``, both counted from 0.
        extra: Other tensors, as given to `save`.
        progress: JSON values, as given to `save`.
    """

    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    extra: dict[str, Tensor]
    progress: dict[str, Any]


def save(
    path: Path,
    *,
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    extra: dict[str, Tensor],
    progress: dict[str, Any],
) -> None:
    """Write a checkpoint atomically.

    Raises:
        CheckpointError: If a weight is not finite: the file on disk stays the last good one.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise CheckpointError(f"{name.removeprefix('model.')} is not finite; {path} is left as it was.")
    for which, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{which}.{index}.{k}": v for k, v in state.items() if isinstance(v, Tensor)}
    tensors |= {f"extra.{name}": tensor for name, tensor in extra.items()}
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomic(path, seal(to_bytes(on_cpu, {"format": FORMAT, "progress": json.dumps(progress)})))


def load(path: Path) -> Checkpoint:
    """Read a checkpoint to the CPU.

    Raises:
        CheckpointError: If it is missing, damaged or something else.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist: the run saved nothing to continue from.")
    if problem := unsealed(path):
        raise CheckpointError(f"{path} is damaged: {problem}. Continue from another checkpoint, or start anew.")
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "extra": {}}
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            for name in file.keys():  # noqa: SIM118  (not a mapping)
                group, _, rest = name.partition(".")
                groups.setdefault(group, {})[rest] = file.get_tensor(name)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a readable checkpoint ({error}).") from None
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path} must be of format {FORMAT}; got {metadata.get('format')!r}.")
    try:
        progress = json.loads(metadata.get("progress", ""))
    except ValueError:
        raise CheckpointError(f"{path} is not a readable checkpoint (its header has no progress).") from None
    return Checkpoint(groups["model"], groups["optimizer"], groups["extra"], progress)


def restore(checkpoint: Checkpoint, *, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Put weights and optimizer states back.

    Raises:
        CheckpointError: If the checkpoint is of another model.
    """
    try:
        model.load_state_dict(checkpoint.model)
    except RuntimeError as error:
        reasons = textwrap.shorten(str(error), 300, placeholder=" ...")  # PyTorch gives a line for each tensor
        raise CheckpointError(f"the checkpoint is of another model: {reasons}") from None
    states: list[dict[int, dict[str, Tensor]]] = [{} for _ in optimizers]
    parameters = [parameters_of(optimizer) for optimizer in optimizers]
    for name, tensor in checkpoint.optimizer.items():
        which, index, key = name.split(".", 2)
        if key != "step":
            tensor = _as(parameters[int(which)][int(index)], tensor)
        states[int(which)].setdefault(int(index), {})[key] = tensor
    for optimizer, state in zip(optimizers, states, strict=True):
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _as(parameter: Tensor, state: Tensor) -> Tensor:
    """A parameter's momentum laid out in memory as the parameter, without which optimizers take a slow path."""
    return torch.empty_like(parameter, dtype=state.dtype, requires_grad=False).copy_(state)
