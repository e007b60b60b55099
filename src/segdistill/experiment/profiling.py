"""What a training step costs, part by part: loading, teacher, student, task loss, every term, optimizer.

Whole steps of the training loop alternate with split ones, which do the same work in pieces, each waited for before
the next begins; see `measure.split`. The difference between a whole step and the sum of the pieces is what splitting
costs, or, on a GPU, what they win by overlapping.
"""

import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from segdistill.engine import Loop, Meter, eager
from segdistill.experiment.advice import advise
from segdistill.experiment.devices import for_device, switched
from segdistill.experiment.fitting import fit_terms
from segdistill.experiment.given import Given, recipe_with
from segdistill.experiment.scoring import make_accelerator
from segdistill.experiment.session import build
from segdistill.experiment.training import Runner
from segdistill.measure import Direction, Gauge, gauge, split_step
from segdistill.networks import ALONE, Teacher
from segdistill.recipe import Recipe
from segdistill.util import ArgumentError, verb

PROFILE_WARM_UP = 2  # whole steps, and as many split ones, before anything is measured


class Stage(NamedTuple):
    """One part of a training step.

    Attributes:
        name: ``loading``, ``teacher``, ``student``, ``task`` (with the auxiliary loss), the name of a term, or
            ``optimizer``.
        forward_ms: Milliseconds a step, median. Of ``loading``: how long the step waits for its batches.
        backward_ms: Milliseconds a step, median; None for what has no backward pass. Of a loss: down to the
            student's outputs and to the loss's own parameters; the way through the student is the student's.
        share: Of the step's time, in [0, 1]; shares of all stages add up to 1.
        peak_bytes: Most memory that the stage held at a time, of what it asked for itself: kept for the
            backward pass, gradients, and what came and went. `profile` says what is counted.
    """

    name: str
    forward_ms: float
    backward_ms: float | None
    share: float
    peak_bytes: int


class Profile(NamedTuple):
    """What a step costs.

    Attributes:
        stages: In the order they begin.
        step_ms: Milliseconds of a whole step of the training loop, median.
        split_ms: Sum of the stages.
        peak_bytes: Most memory at a time during a step, beyond weights and optimizer state.
        batch_size: Images a step.
        steps: How many steps each median is over.
        device: ``cpu``, or the name of the GPU.
        precision: ``fp32`` or ``bf16``.
        options: What else makes a step cheaper, in words: ``channels_last``, ``compiled student``, ...
        advice: The slowest stage and the option that would help, in words.
    """

    stages: list[Stage]
    step_ms: float
    split_ms: float
    peak_bytes: int
    batch_size: int
    steps: int
    device: str
    precision: str
    options: list[str]
    advice: str

    def as_json(self) -> dict[str, Any]:
        """Plain values, stages as mappings."""
        return {**self._asdict(), "stages": self.frame()}

    def frame(self) -> list[dict[str, Any]]:
        """A row a stage: ``name``, ``forward_ms``, ``backward_ms``, ``share``, ``peak_bytes``."""
        return [stage._asdict() for stage in self.stages]


@verb
def profile(
    recipe: str | Path | Recipe,
    student: nn.Module | str | None = None,
    teacher: Given | None = None,
    *,
    steps: int = 10,
    overrides: Sequence[str] = (),
    advance: Callable[[], None] = lambda: None,
) -> Profile:
    """Measure the training step of a recipe on its own data; nothing is written.

    Times are medians over ``steps`` steps after a warm-up. Memory is that of one further step: on a GPU what torch's
    allocator handed out; on a CPU the sizes of all tensors alive, without what a kernel needs while it runs, in a step
    of uncompiled networks, since compiled code does not tell.
    Weights and optimizer state, which are there before the step, are not counted.

    Args:
        recipe: What to measure: a name, a YAML file, or a loaded recipe. Its networks learn a few steps, in memory.
        student: As in `train`.
        teacher: As in `train`.
        steps: How many steps each median is over.
        overrides: ``["data.root=FOLDER"]``, on the recipe.
        advance: Called ``PROFILE_WARM_UP + steps`` times, after a whole and a split step each.

    Raises:
        SegdistillError: If ``steps`` is not positive, several processes were started, or the recipe cannot run.

    Example:
        ``sd.profile("demo_student", steps=3).frame()`` gives ``[{"name": "loading", "forward_ms": 0.4, ...}, ...]``.
    """
    if not isinstance(steps, int) or steps < 1:
        raise ArgumentError(f"`steps` must be a whole number, at least 1; got {steps!r}.")
    recipe = recipe_with(recipe, overrides, student, teacher)
    rounds = PROFILE_WARM_UP + steps
    iterations = max(2 * rounds + 1, recipe.train.iterations)  # the loader ends with the last of them
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"iterations": iterations})})
    accelerator = make_accelerator(recipe)
    if accelerator.num_processes > 1:
        raise ArgumentError(
            f"a profile is of one process; got {accelerator.num_processes}. Start it without torchrun or accelerate."
        )
    recipe = for_device(recipe, accelerator.device)
    with switched(recipe, accelerator.device.type):
        return _measure(Runner(recipe, build(recipe, student, teacher), Path(), accelerator), steps, advance)


def _measure(runner: Runner, steps: int, advance: Callable[[], None]) -> Profile:
    recipe, built, accelerator, rounds = runner.recipe, runner.built, runner.accelerator, PROFILE_WARM_UP + steps
    device, plan, distiller = runner.device, runner.plan, runner.distiller
    fit_terms(distiller, runner.teacher, runner.batches, accelerator, plan, images=recipe.data.batch_size)
    loop = Loop(distiller, accelerator.prepare_model(distiller), runner.teacher, built.optimizers, plan, accelerator)
    lr = plan.lr(0)
    wholes, splits = [], []
    with closing(runner.batches(0)) as batches:
        for number in range(rounds):
            watch = _Watch(device)
            loop.step(2 * number, lr, batches, Meter(device), None)
            watch.lap("step", "forward")
            wholes.append(watch.ms["step", "forward"])
            watch = _Watch(device)
            split_step(loop, 2 * number + 1, lr, batches, watch.lap)
            splits.append(watch.ms)
            advance()
        with gauge(device) as reader, eager() if device.type == "cpu" else nullcontext():
            memory = _Memory(reader)
            split_step(loop, 2 * rounds, lr, batches, memory.lap)
    ms = {key: statistics.median(split[key] for split in splits[PROFILE_WARM_UP:]) for key in splits[-1]}
    stages = _stages(ms, memory.peaks)
    shares = {stage.name: stage.share for stage in stages}
    return Profile(
        stages=stages,
        step_ms=statistics.median(wholes[PROFILE_WARM_UP:]),
        split_ms=sum(ms.values()),
        peak_bytes=memory.peak,
        batch_size=recipe.data.batch_size,
        steps=steps,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        precision=str(recipe.train.precision),
        options=_options(recipe, built.teachers),
        advice=advise(shares, recipe, on_gpu=device.type == "cuda", cores=os.cpu_count() or 1),
    )


def _options(recipe: Recipe, teachers: Mapping[str, Teacher]) -> list[str]:
    train = recipe.train
    options = {"channels_last": bool(train.channels_last), "compiled student": train.compile}
    for name, teacher in teachers.items():
        config = recipe.taught_by[name]
        title = name if name == ALONE else f"teacher {name}"
        options[f"{title} in {config.precision}"] = config.precision not in (None, train.precision)
        options[f"{title} with {teacher.num_folded} batch norms folded"] = teacher.num_folded > 0
        options[f"compiled {title}"] = config.compile
    return [name for name, chosen in options.items() if chosen]


def _stages(ms: dict[tuple[str, Direction], float], peaks: dict[str, int]) -> list[Stage]:
    total = sum(ms.values())
    stages = []
    for name in dict.fromkeys(name for name, _ in ms):
        forward, backward = ms[name, "forward"], ms.get((name, "backward"))
        stages.append(Stage(name, forward, backward, (forward + (backward or 0.0)) / total, peaks[name]))
    return stages


class _Watch:
    """Milliseconds between laps, by stage and direction."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.ms: dict[tuple[str, Direction], float] = defaultdict(float)
        self.last = self._now()

    def lap(self, stage: str, direction: Direction) -> None:
        now = self._now()
        self.ms[stage, direction] += 1e3 * (now - self.last)
        self.last = now

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


class _Memory:
    """Bytes that each stage holds, at most, of those that were asked for during its laps."""

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
