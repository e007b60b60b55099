"""The training loop: built objects and plain numbers in, a trained student and a run folder out.

Exact resume rests on three rules. Data, augmentation, dropout and masks are functions of (seed, step, process):
the loop seeds torch anew at every step. State is saved at step ends only. ``metrics.jsonl`` holds nothing that
depends on the clock, and on resume loses the lines of steps that are done again.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from segdistill import store
from segdistill.distill import Distiller
from segdistill.engine import checkpoint
from segdistill.engine.meter import Clock, Meter, PeakMemory
from segdistill.engine.signals import Stopped, StopSignal
from segdistill.engine.step import Loop, Plan, wrap
from segdistill.networks import Teacher, Teachers
from segdistill.store import LogLine, TimingLine, Validation
from segdistill.types import Batch

logger = logging.getLogger(__name__)

STOP_POLL_STEPS = 10  # several processes agree on a stop this often; asking costs a host synchronisation


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
    teacher: Teacher | Teachers | None,
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
        validate: Scores the student; returns the keys of `store.Validation`.
        resume: Continue from the folder's last checkpoint; start anew if it has none.
        on_log: Called with every record, training and validation, with timing added.

    Raises:
        NotFiniteError: If a loss is NaN or infinite.
        Stopped: If SIGINT or SIGTERM came; the state is saved.
    """
    progress, meter = Progress(), Meter(accelerator.device)
    if resume and (run / store.LAST).is_file():
        saved = checkpoint.load(run / store.LAST)
        checkpoint.restore(saved, model=distiller, optimizers=optimizers)
        known = saved.progress["run"]  # an older version's has a key more
        progress = Progress(**{field.name: known[field.name] for field in fields(Progress)})
        meter.restore(saved.extra, saved.progress["parts"])
    if accelerator.is_main_process:
        for name in (store.METRICS, store.TIMING):
            store.drop_records_after(run / name, progress.step)
    loop = Loop(distiller, wrap(distiller, accelerator), teacher, optimizers, plan, accelerator)
    memory, peak_before = PeakMemory(accelerator.device), progress.peak_memory_mb
    clock = Clock(progress.seconds, progress.step, plan.batch_size, accelerator.device)

    saved_step = progress.step

    def report(line: LogLine) -> None:
        if accelerator.is_main_process:
            timing = TimingLine(step=progress.step, **clock.lap(progress.step))
            store.append_record(run / store.METRICS, line)
            store.append_record(run / store.TIMING, timing)
            if on_log is not None:
                on_log({**line.as_json(), **timing.as_json()})

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
                report(LogLine(step=progress.step, lr=lr, **meter.flush(accelerator)))
            if norms is not None:
                report(LogLine(step=progress.step, grad_norms=norms))
            if validate is not None and (progress.step % plan.val_every == 0 or last):
                meter.check()
                with clock.stopped():
                    val = Validation.model_validate(validate())
                report(LogLine(step=progress.step, val=val))
                if val.miou > progress.best_miou:
                    progress.best_step, progress.best_miou = progress.step, val.miou
                    save(store.BEST)
            stopping = _agree_on_stop(stop, progress.step, accelerator)
            if progress.step % plan.save_every == 0 or last or stopping:
                save(store.LAST)
                saved_step = progress.step
            if stopping and not last:
                raise Stopped(progress.step, stopping)
    return progress


def _agree_on_stop(stop: StopSignal, step: int, accelerator: Accelerator) -> int:
    """The signal that stops the run after this step, the same in all processes; 0 to go on."""
    if accelerator.num_processes == 1:
        return stop.received
    if step % STOP_POLL_STEPS:
        return 0
    flag = accelerator.reduce(torch.tensor(float(stop.received), device=accelerator.device), reduction="sum")
    return int(stop.received or (15 if flag.item() else 0))
