"""What a training step costs, part by part: loading, teacher, student, task loss, every term, optimizer.

Whole steps of the training loop alternate with split ones, which do the same work on the same kind of batch in
separate pieces: the student's outputs are cut from its graph, every loss is differentiated down to the cut and to
its own parameters, and their summed gradients then go through the student. Each piece is waited for before the next
begins. The difference between a whole step and the sum of its pieces is what splitting costs, or, on a GPU, what the
pieces win by overlapping.
"""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from segdistill.build import build
from segdistill.config import Recipe
from segdistill.distill import Distiller
from segdistill.engine.evaluate import to_device
from segdistill.engine.memory import Gauge, gauge
from segdistill.engine.meter import Meter
from segdistill.engine.optim import set_lr
from segdistill.engine.train import _Loop, autocast, set_train_mode, step_seed
from segdistill.run import Runner
from segdistill.scoring import make_accelerator
from segdistill.types import IGNORE_INDEX, Batch, SegOutput

WARM_UP = 2  # whole steps, and as many split ones, before anything is measured

Direction = Literal["forward", "backward"]
Lap = Callable[[str, Direction], None]
"""Books what happened since the last call to a stage."""


class Stage(NamedTuple):
    """One piece of a training step.

    Attributes:
        name: ``loading``, ``teacher``, ``student``, ``task`` (with the auxiliary loss), the name of a term, or
            ``optimizer``.
        forward_ms: Milliseconds a step, median. Of loading: the time that the step waits for its batches.
        backward_ms: Likewise; None for what has no backward pass. Of a loss: down to the student's outputs and
            to the loss's own parameters.
        share: Of the step, in [0, 1]; shares of all stages add up to 1.
        peak_bytes: Most memory that the stage held at a time, of what it asked for itself: kept for the
            backward pass, gradients, and what came and went. See `profile` for what is counted.
    """

    name: str
    forward_ms: float
    backward_ms: float | None
    share: float
    peak_bytes: int

    @property
    def ms(self) -> float:
        """Milliseconds a step, both passes."""
        return self.forward_ms + (self.backward_ms or 0.0)


class Profile(NamedTuple):
    """What a step costs.

    Attributes:
        stages: In the order they run.
        step_ms: Milliseconds of a whole, unsplit step of the training loop, median.
        split_ms: Sum of the stages.
        peak_bytes: Most memory at a time during a split step, beyond weights and optimizer state.
        batch_size: Images a step.
        steps: Steps that each median is over.
        device: ``cpu``, or the name of the GPU.
        precision: ``fp32`` or ``bf16``.
    """

    stages: list[Stage]
    step_ms: float
    split_ms: float
    peak_bytes: int
    batch_size: int
    steps: int
    device: str
    precision: str

    def as_json(self) -> dict[str, Any]:
        """Plain values, stages as mappings."""
        return {**self._asdict(), "stages": [stage._asdict() for stage in self.stages]}


def profile(recipe: Recipe, *, steps: int = 10, advance: Callable[[], None] | None = None) -> Profile:
    """Measure the training step of a recipe on its own data; nothing is written.

    Times are medians over ``steps`` steps after a warm-up. Memory is that of one further step: on a GPU what torch's
    allocator handed out; on a CPU the sizes of all tensors alive, without what a kernel needs while it runs.
    Weights and optimizer state, which are there before the step, are not counted.

    Args:
        recipe: What to measure. Its weights take a few steps of training, in memory only.
        steps: How many steps each median is over.
        advance: Called after every step, `num_steps(steps)` times.

    Raises:
        ValueError: If ``steps`` is not positive, several processes were started, or the recipe cannot run.
    """
    if steps < 1:
        raise ValueError(f"`steps` must be at least 1; got {steps}.")
    needed = num_steps(steps)
    train = recipe.train.model_copy(update={"iterations": max(needed, recipe.train.iterations)})
    recipe = recipe.model_copy(update={"train": train})
    accelerator = make_accelerator(recipe)
    if accelerator.num_processes > 1:
        raise ValueError(
            f"a profile is of one process; got {accelerator.num_processes}. Start it without torchrun or accelerate."
        )
    runner = Runner(recipe, build(recipe), Path(), accelerator)
    device = runner.device
    wholes: list[float] = []
    splits: list[dict[tuple[str, Direction], float]] = []
    with closing(runner._batches(0)) as batches:
        step = _Steps(runner, batches, advance or (lambda: None))
        for _ in range(WARM_UP + steps):
            start = time.perf_counter()
            step.whole()
            _wait(device)
            wholes.append(1e3 * (time.perf_counter() - start))
            watch = _Watch(device)
            step.split(watch.lap)
            splits.append(watch.ms)
        with gauge(device) as reader:
            memory = _Memory(reader)
            step.split(memory.lap)
    ms = {key: statistics.median(split[key] for split in splits[WARM_UP:]) for key in splits[-1]}
    return Profile(
        stages=_stages(ms, memory.peaks),
        step_ms=statistics.median(wholes[WARM_UP:]),
        split_ms=sum(ms.values()),
        peak_bytes=memory.peak,
        batch_size=recipe.data.batch_size,
        steps=steps,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        precision=recipe.train.precision,
    )


def num_steps(steps: int) -> int:
    """Training steps that a profile over ``steps`` steps takes: whole, split, and one for memory.

    Example:
        >>> num_steps(10)
        25
    """
    return 2 * (WARM_UP + steps) + 1


def _stages(ms: dict[tuple[str, Direction], float], peaks: dict[str, int]) -> list[Stage]:
    total = max(sum(ms.values()), 1e-9)
    stages = []
    for name in dict.fromkeys(name for name, _ in ms):
        forward, backward = ms[name, "forward"], ms.get((name, "backward"))
        stages.append(Stage(name, forward, backward, (forward + (backward or 0.0)) / total, peaks[name]))
    return stages


class _Steps:
    """Training steps, whole or split, one after the other on one stream of batches."""

    def __init__(self, runner: Runner, batches: Iterator[Batch], advance: Callable[[], None]) -> None:
        accelerator, distiller = runner.accelerator, runner.distiller
        self.batches, self.advance, self.done = batches, advance, 0
        self.distiller, self.teacher, self.plan = distiller, runner.teacher, runner.plan
        self.device, self.optimizers = runner.device, runner.built.optimizers
        self.loop = _Loop(
            distiller, accelerator.prepare_model(distiller), self.teacher, self.optimizers, self.plan, accelerator
        )

    def whole(self) -> None:
        """A step of the training loop as it is."""
        self.loop.step(self.done, self.plan.lr(self.done), self.batches, Meter(self.device), None)
        self._finish()

    def split(self, lap: Lap) -> None:
        """The same step in pieces; ``lap`` is called at the end of each."""
        plan, distiller = self.plan, self.distiller
        torch.manual_seed(step_seed(plan.seed, self.done, 0))
        set_train_mode(distiller, freeze_bn=plan.freeze_bn)
        set_lr(self.optimizers[0], plan.lr(self.done))
        micro_batches = [to_device(next(self.batches), self.device) for _ in range(plan.accumulate)]
        num_valid = torch.stack([(batch.target != IGNORE_INDEX).sum() for batch in micro_batches]).float().mean()
        lap("loading", "forward")
        for batch in micro_batches:
            self._pass(batch, num_valid, lap)
        if plan.clip is not None:
            nn.utils.clip_grad_norm_(self.loop.clipped, plan.clip)
        if plan.clip_terms is not None:
            nn.utils.clip_grad_norm_(self.loop.clipped_terms, plan.clip_terms)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        lap("optimizer", "forward")
        self._finish()

    def _finish(self) -> None:
        self.done += 1
        self.advance()

    def _pass(self, batch: Batch, num_valid: Tensor, lap: Lap) -> None:
        """Forward and backward pass of a micro-batch."""
        distiller = self.distiller
        with autocast(self.device, self.plan.precision):
            teacher_output = None
            if self.teacher is not None:
                teacher_output = self.teacher(batch.image)
                lap("teacher", "forward")
            with _cut(distiller, lap) as cuts:
                output = distiller(batch.image, batch.target, teacher_output, num_valid=num_valid)
            lap("task", "forward")  # the weighted sum
        weights, losses = distiller.weights, defaultdict[str, list[Tensor]](list)
        for part, value in output.parts.items():
            stage = part.partition(".")[0]
            losses["task" if stage == "aux" else stage].append(weights[part] * value / self.plan.accumulate)
        del output, value
        for stage in list(losses):
            loss = torch.stack(losses.pop(stage)).sum()
            if loss.requires_grad:
                loss.backward()  # type: ignore[no-untyped-call]
            del loss
            lap(stage, "backward")
        ends = [(end, leaf.grad) for end, leaf in cuts if leaf.grad is not None]
        cuts.clear()
        torch.autograd.backward([end for end, _ in ends], [grad for _, grad in ends])
        lap("student", "backward")


@contextmanager
def _cut(distiller: Distiller, lap: Lap) -> Generator[list[tuple[Tensor, Tensor]], None, None]:
    """While the distiller runs: book its pieces, and let its losses see the student's outputs cut from their graph.

    Yields:
        Pairs of a student's output and the leaf that stands for it; filled in by the call.
    """
    cuts: list[tuple[Tensor, Tensor]] = []

    def leaf(end: Tensor) -> Tensor:
        copy = end.detach().requires_grad_(end.requires_grad)
        cuts.append((end, copy))
        return copy

    def cut(_module: nn.Module, _inputs: Any, output: SegOutput) -> SegOutput:
        lap("student", "forward")
        aux = None if output.aux_logits is None else leaf(output.aux_logits)
        return SegOutput(leaf(output.logits), aux, {name: leaf(map_) for name, map_ in output.features.items()})

    hooks = [distiller.tapped.register_forward_hook(cut)]
    for name, loss in distiller.losses.items():
        # What lies between two losses is the task's: its cross-entropy comes before the first.
        hooks.append(loss.register_forward_pre_hook(lambda *_: lap("task", "forward")))
        hooks.append(loss.register_forward_hook(lambda *_, name=name: lap(name, "forward")))
    try:
        yield cuts
    finally:
        for hook in hooks:
            hook.remove()


class _Watch:
    """Milliseconds between laps."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.ms: dict[tuple[str, Direction], float] = defaultdict(float)
        _wait(device)
        self.last = time.perf_counter()

    def lap(self, stage: str, direction: Direction) -> None:
        _wait(self.device)
        now = time.perf_counter()
        self.ms[stage, direction] += 1e3 * (now - self.last)
        self.last = now


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class _Memory:
    """Bytes between laps."""

    def __init__(self, reader: Gauge) -> None:
        self.reader = reader
        reader.reset()
        self.first = self.last = reader.live()
        self.peak = 0
        self.held: dict[str, int] = defaultdict(int)
        self.peaks: dict[str, int] = defaultdict(int)

    def lap(self, stage: str, _direction: Direction) -> None:
        live, peak = self.reader.live(), self.reader.peak()
        self.peak = max(self.peak, peak - self.first)
        self.peaks[stage] = max(self.peaks[stage], self.held[stage] + peak - self.last)
        self.held[stage] += live - self.last
        self.last = live
        self.reader.reset()
