"""One optimizer step over its micro-batches: seeded, averaged, clipped."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from segdistill.distill import Distiller, unread_parameters
from segdistill.engine.evaluation import to_device
from segdistill.engine.meter import Clock, Meter
from segdistill.engine.optim import parameters_of, set_lr
from segdistill.networks import Teacher, Teachers
from segdistill.types import IGNORE_INDEX, Batch, SegOutput, StepOutput
from segdistill.util import seed_of


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


class Loop:
    """One optimizer step over its micro-batches."""

    def __init__(
        self,
        distiller: Distiller,
        model: nn.Module,
        teacher: Teacher | Teachers | None,
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
        torch.manual_seed(seed_of("step", self.plan.seed, step, self.accelerator.process_index))
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
            output: StepOutput = self.model(batch.image, batch.target, self.ask(batch.image), num_valid=num_valid)
        return output

    def ask(self, image: Tensor) -> SegOutput | dict[str, SegOutput] | None:
        """What the terms need of the teacher's answer; None without a teacher."""
        return None if self.teacher is None else self.distiller.condense(self.teacher(image))


def wrap(distiller: Distiller, accelerator: Accelerator) -> nn.Module:
    """The distiller as the processes share it, without sending buffers that are equal anyway at every step.

    What no loss reads is frozen: DDP would wait for its gradient and end the run at the second step.
    """
    if accelerator.num_processes > 1:
        for parameter in unread_parameters(distiller):
            parameter.requires_grad_(False)
        losses = distiller.distillation_losses()
        names = [f"losses.{name}.{buffer}" for name, loss in losses.items() for buffer in loss.equal_buffers]
        distiller._ddp_params_and_buffers_to_ignore = names  # type: ignore[assignment]  # what DDP looks for
    wrapped: nn.Module = accelerator.prepare_model(distiller)
    return wrapped


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


@contextmanager
def eager() -> Iterator[None]:
    """For images of any size, and for what happens once.

    Compiled networks run as they are written, and cuDNN tries out nothing, which it would at every new size.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    try:
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        torch.backends.cudnn.benchmark = before
