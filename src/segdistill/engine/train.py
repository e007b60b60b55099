"""The training loop: built objects and plain numbers in, a trained student and a run folder out.

Exact resume rests on three rules. Data, augmentation, dropout and masks are functions of (seed, step, process):
the loop seeds torch anew at every step. State is saved at step ends only. ``metrics.jsonl`` holds nothing that
depends on the clock, and on resume loses the lines of steps that are done again.
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from segdistill import rundir
from segdistill.distill import Distiller
from segdistill.engine import checkpoint
from segdistill.engine.evaluate import to_device
from segdistill.engine.meter import Clock, Meter, PeakMemory
from segdistill.engine.optim import parameters_of, set_lr
from segdistill.engine.signals import Stopped, StopSignal
from segdistill.teacher import Teacher
from segdistill.types import IGNORE_INDEX, Batch, StepOutput

logger = logging.getLogger(__name__)

STOP_POLL_STEPS = 10  # several processes agree on a stop this often; asking costs a host synchronisation


@dataclass(frozen=True)
class Plan:
    """Numbers of a run; meanings and defaults are those of ``config.TrainConfig`` and ``OptimConfig``.

    Attributes:
        lr: Learning rate as a function of the step, counted from 0.
        grad_norms_every: Steps between measurements of each part's gradient; None for none.
    """

    iterations: int
    seed: int
    lr: Callable[[int], float]
    batch_size: int
    accumulate: int = 1
    precision: torch.dtype = torch.float32
    val_every: int = 800
    save_every: int = 800
    log_every: int = 50
    grad_norms_every: int | None = None
    clip: float | None = None
    clip_terms: float | None = None
    freeze_bn: bool = False
    channels_last: bool = False


@dataclass
class Progress:
    """How far a run is; saved with every checkpoint.

    Attributes:
        step: Steps done.
        best_step: Step of the best validation, 0 before the first.
        best_miou: Its mIoU.
        seconds: Wall-clock of training, without validations, over all parts of the run.
        peak_memory_mb: See `meter.PeakMemory`; None where it cannot be known.
    """

    step: int = 0
    best_step: int = 0
    best_miou: float = -1.0
    seconds: float = 0.0
    peak_memory_mb: float | None = None


def train(
    distiller: Distiller,
    teacher: Teacher | None,
    loader: Callable[[int], Iterable[Batch]],
    optimizers: Sequence[torch.optim.Optimizer],
    plan: Plan,
    *,
    run: Path,
    accelerator: Accelerator,
    validate: Callable[[], dict[str, Any]] | None = None,
    resume: bool = False,
    on_log: Callable[[dict[str, Any]], None] | None = None,
) -> Progress:
    """Train until ``plan.iterations`` steps are done.

    Args:
        distiller: Student and terms, on the accelerator's device.
        teacher: Needed if the distiller has terms.
        loader: Gives the micro-batches of this process from a step on.
        optimizers: Over the distiller's parameters; the first follows ``plan.lr``.
        plan: The numbers.
        run: Run folder.
        accelerator: Device and processes.
        validate: Scores the student; returns ``{"miou", ...}`` as it shall stand in ``metrics.jsonl``.
        resume: Continue from the folder's last checkpoint; start anew if it has none.
        on_log: Called with every record, training and validation, with timing added.

    Raises:
        NotFiniteError: If a loss is NaN or infinite.
        Stopped: If SIGINT or SIGTERM came; the state is saved.
    """
    progress, meter = Progress(), Meter(accelerator.device)
    if resume and (run / rundir.LAST).is_file():
        saved = checkpoint.load(run / rundir.LAST)
        checkpoint.restore(saved, model=distiller, optimizers=optimizers)
        known = saved.progress["run"]  # an older version's has a key more
        progress = Progress(**{field.name: known[field.name] for field in fields(Progress)})
        meter.restore(saved.extra, saved.progress["parts"])
    if accelerator.is_main_process:
        for name in (rundir.METRICS, rundir.TIMING):
            rundir.drop_records_after(run / name, progress.step)
    loop = Loop(distiller, _wrap(distiller, accelerator), teacher, optimizers, plan, accelerator)
    memory, peak_before = PeakMemory(accelerator.device), progress.peak_memory_mb
    clock = Clock(progress.seconds, progress.step, plan.batch_size)

    saved_step = progress.step

    def report(record: dict[str, Any]) -> None:
        if accelerator.is_main_process:
            timing = {"step": progress.step, **clock.lap(progress.step)}
            rundir.append_record(run / rundir.METRICS, record)
            rundir.append_record(run / rundir.TIMING, timing)
            if on_log is not None:
                on_log({**record, **timing})

    def save(path: str) -> None:
        meter.check()
        progress.seconds = clock.seconds()
        progress.peak_memory_mb = max((peak_before or 0.0, memory.megabytes() or 0.0)) or None
        if accelerator.is_main_process:
            with clock.stopped():
                checkpoint.save(
                    run / path,
                    model=distiller,
                    optimizers=optimizers,
                    extra=meter.state(),
                    progress={"run": vars(progress), "parts": meter.names},
                )

    batches: Iterator[Batch] = iter(loader(progress.step))
    with StopSignal() as stop:
        while progress.step < plan.iterations:
            lr = plan.lr(progress.step)
            due = plan.grad_norms_every is not None and progress.step % plan.grad_norms_every == 0
            try:
                norms = loop.step(progress.step, lr, batches, meter, clock if due else None)
            except RuntimeError:
                if not stop.received:
                    raise
                # The signal killed the loader's workers too, maybe amid this step: fall back to what is saved.
                raise Stopped(saved_step, stop.received) from None
            progress.step += 1
            last = progress.step == plan.iterations
            if progress.step % plan.log_every == 0 or last:
                report({"step": progress.step, "lr": lr, **meter.flush(accelerator)})
            if norms is not None:
                report({"step": progress.step, "grad_norms": norms})
            if validate is not None and (progress.step % plan.val_every == 0 or last):
                meter.check()
                with clock.stopped():
                    val = validate()
                report({"step": progress.step, "val": val})
                if val["miou"] > progress.best_miou:
                    progress.best_step, progress.best_miou = progress.step, val["miou"]
                    save(rundir.BEST)
            stopping = _agree_on_stop(stop, progress.step, accelerator)
            if progress.step % plan.save_every == 0 or last or stopping:
                save(rundir.LAST)
                saved_step = progress.step
            if stopping and not last:
                raise Stopped(progress.step, stopping)
    return progress


class Loop:
    """One optimizer step over its micro-batches."""

    def __init__(
        self,
        distiller: Distiller,
        model: nn.Module,
        teacher: Teacher | None,
        optimizers: Sequence[torch.optim.Optimizer],
        plan: Plan,
        accelerator: Accelerator,
    ) -> None:
        self.distiller, self.model, self.teacher = distiller, model, teacher
        self.optimizers, self.plan, self.accelerator = optimizers, plan, accelerator
        in_losses = {id(parameter) for parameter in distiller.losses.parameters()}
        self.clipped = parameters_of(optimizers[0])
        self.clipped_terms = [parameter for parameter in self.clipped if id(parameter) in in_losses]

    def step(
        self, step: int, lr: float, batches: Iterator[Batch], meter: Meter, clock: Clock | None
    ) -> dict[str, float] | None:
        """Run step number ``step``, counted from 0; with a clock to stop, also measure each part's gradient."""
        plan, accelerator = self.plan, self.accelerator
        micro_batches, num_valid = self.begin(step, lr, batches)
        norms = None
        for index, batch in enumerate(micro_batches):
            last = index == plan.accumulate - 1
            with nullcontext() if last else accelerator.no_sync(self.model):
                # Compiled code frees what several backward passes need; the plain network gives the same.
                with eager() if last and clock is not None else nullcontext():
                    output = self._forward(batch, num_valid)
                meter.add(output, step, 1 / plan.accumulate)
                if last and clock is not None:
                    with clock.stopped():
                        norms = self._grad_norms(output)
                accelerator.backward(output.loss / plan.accumulate)
        if accelerator.device.type == "cpu":  # looking is free here, and spares the weights the bad step
            meter.check()
        self.update()
        return norms

    def begin(self, step: int, lr: float, batches: Iterator[Batch]) -> tuple[list[Batch], Tensor]:
        """Seed, mode and learning rate of a step; its micro-batches, and the mean of their labelled pixels."""
        torch.manual_seed(step_seed(self.plan.seed, step, self.accelerator.process_index))
        set_train_mode(self.model, freeze_bn=self.plan.freeze_bn)
        set_lr(self.optimizers[0], lr)
        layout = torch.channels_last if self.plan.channels_last else torch.preserve_format
        device = self.accelerator.device
        micro_batches = [to_device(next(batches), device, layout) for _ in range(self.plan.accumulate)]
        num_valid = torch.stack([(batch.target != IGNORE_INDEX).sum() for batch in micro_batches]).float().mean()
        if self.accelerator.num_processes > 1:
            num_valid = self.accelerator.reduce(num_valid, reduction="mean")
        return micro_batches, num_valid

    def update(self) -> None:
        """Clip the gradients, let every optimizer step, forget the gradients."""
        if self.plan.clip is not None:
            nn.utils.clip_grad_norm_(self.clipped, self.plan.clip)
        if self.plan.clip_terms is not None:
            nn.utils.clip_grad_norm_(self.clipped_terms, self.plan.clip_terms)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def _grad_norms(self, output: StepOutput) -> dict[str, float]:
        """L2 norm over the student's parameters of every weighted part's gradient, mean over the processes."""
        parameters = [parameter for parameter in self.distiller.student.parameters() if parameter.requires_grad]
        weights, norms = self.distiller.weights, {}
        for name, part in output.parts.items():
            squares = [part.new_zeros(())]
            if part.requires_grad:
                grads = torch.autograd.grad(weights[name] * part, parameters, retain_graph=True, allow_unused=True)
                squares += [grad.float().square().sum() for grad in grads if grad is not None]
            norms[name] = torch.stack(squares).sum().sqrt()
        together = torch.stack(list(norms.values()))
        if self.accelerator.num_processes > 1:
            together = self.accelerator.reduce(together, reduction="mean")
        return {name: norm for name, norm in zip(norms, together.tolist(), strict=True) if math.isfinite(norm)}

    def _forward(self, batch: Batch, num_valid: Tensor) -> StepOutput:
        with autocast(self.accelerator.device, self.plan.precision):
            teacher_output = None if self.teacher is None else self.teacher(batch.image)
            output: StepOutput = self.model(batch.image, batch.target, teacher_output, num_valid=num_valid)
        return output


def _wrap(distiller: Distiller, accelerator: Accelerator) -> nn.Module:
    """The distiller as the processes share it, without sending buffers that are equal anyway at every step."""
    if accelerator.num_processes > 1:
        equal = [path for path, module in distiller.named_modules() if getattr(module, "same_in_all_processes", False)]
        names = [name for name, _ in distiller.named_buffers() if name.rpartition(".")[0] in equal]
        distiller._ddp_params_and_buffers_to_ignore = names  # type: ignore[assignment]  # what DDP looks for
    wrapped: nn.Module = accelerator.prepare_model(distiller)
    return wrapped


def step_seed(seed: int, step: int, process: int) -> int:
    """A 63-bit seed of (seed, step, process), far from those of neighbouring steps."""
    value = (seed << 40) ^ (step << 12) ^ process
    for factor in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):  # the splitmix64 finalizer
        value = ((value ^ (value >> 30)) * factor) & (2**64 - 1)
    return (value ^ (value >> 31)) >> 1


def set_train_mode(model: nn.Module, *, freeze_bn: bool) -> None:
    """Training mode, with BatchNorm left at its statistics if asked."""
    model.train()
    if freeze_bn:
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager[Any]:
    """Autocast to bfloat16, or nothing for float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16)


def eager() -> AbstractContextManager[Any]:
    """Compiled networks run as they are written: for images of any size, and for what happens once."""
    stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return stance


def _agree_on_stop(stop: StopSignal, step: int, accelerator: Accelerator) -> int:
    """The signal that stops the run after this step, the same in all processes; 0 to go on."""
    if accelerator.num_processes == 1:
        return stop.received
    if step % STOP_POLL_STEPS:
        return 0
    flag = accelerator.reduce(torch.tensor(float(stop.received), device=accelerator.device), reduction="sum")
    return int(stop.received or (15 if flag.item() else 0))
