"""A training step in pieces, so that each can be measured: the work of `train`'s step, and its result, are the same.

The student's outputs are cut from its graph; every loss is differentiated down to the cut and to its own parameters;
the sum of their gradients then goes through the student.
"""

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from segdistill.distill import Distiller
from segdistill.engine import Loop, autocast
from segdistill.types import Batch, SegOutput

Direction = Literal["forward", "backward"]
Lap = Callable[[str, Direction], None]
"""Called at the end of a piece, with its stage: ``loading``, ``teacher``, ``student``, ``task``, the name of a term or
``optimizer``. Whatever happens in a step lies between two calls; a stage may have several pieces."""


def split_step(loop: Loop, step: int, lr: float, batches: Iterator[Batch], lap: Lap) -> None:
    """Run step number ``step``, counted from 0, of a single process; its arguments are those of ``loop.step``."""
    micro_batches, num_valid = loop.begin(step, lr, batches)
    lap("loading", "forward")
    for batch in micro_batches:
        _pass(loop, batch, num_valid, lap)
    loop.update()
    lap("optimizer", "forward")


def _pass(loop: Loop, batch: Batch, num_valid: Tensor, lap: Lap) -> None:
    """Forward and backward pass of a micro-batch."""
    plan, distiller = loop.plan, loop.distiller
    with autocast(loop.accelerator.device, plan.precision):
        teacher_output = loop.ask(batch.image)
        if loop.teacher is not None:
            lap("teacher", "forward")
        with _cut(distiller, lap) as cuts:
            parts = distiller(batch.image, batch.target, teacher_output, num_valid=num_valid).parts
        lap("task", "forward")  # the weighted sum
    losses: dict[str, list[Tensor]] = defaultdict(list)
    for name, weight in distiller.weights.items():
        if name in parts:
            stage = "task" if name == "aux" else name.partition(".")[0]
            losses[stage].append(weight / plan.accumulate * parts.pop(name))
    for stage in list(losses):
        loss = torch.stack(losses.pop(stage)).sum()
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        del loss
        lap(stage, "backward")
    reached = [(end, leaf.grad) for end, leaf in cuts if leaf.grad is not None]
    cuts.clear()
    torch.autograd.backward([end for end, _ in reached], [grad for _, grad in reached])
    lap("student", "backward")


@contextmanager
def _cut(distiller: Distiller, lap: Lap) -> Generator[list[tuple[Tensor, Tensor]], None, None]:
    """While the distiller runs: tell its pieces apart, and show its losses the student's outputs without their graph.

    Yields:
        Pairs of an output and the leaf that stands for it, filled in by the call.
    """
    cuts: list[tuple[Tensor, Tensor]] = []

    def leaf(end: Tensor) -> Tensor:
        cuts.append((end, end.detach().requires_grad_(end.requires_grad)))
        return cuts[-1][1]

    def cut(_module: nn.Module, _inputs: Any, output: SegOutput) -> SegOutput:
        lap("student", "forward")
        aux = None if output.aux_logits is None else leaf(output.aux_logits)
        return SegOutput(leaf(output.logits), aux, {name: leaf(field) for name, field in output.features.items()})

    hooks = [distiller.network.register_forward_hook(cut)]
    for name, loss in distiller.losses.items():
        # The cross-entropy comes before the first loss; what little lies between two losses goes with it.
        hooks.append(loss.register_forward_pre_hook(lambda *_: lap("task", "forward")))
        hooks.append(loss.register_forward_hook(lambda *_, name=name: lap(name, "forward")))
    try:
        yield cuts
    finally:
        for hook in hooks:
            hook.remove()
