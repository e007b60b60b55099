"""Running means of the loss and its parts, a guard against values that are not finite, and the clock."""

import time
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from segdistill.types import StepOutput


class NotFiniteError(RuntimeError):
    """A loss became NaN or infinite; the message names the term and the step."""


class Meter:
    """Running means of the loss and its parts, kept on the device until they are asked for."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.names: list[str] = []
        self.sums = torch.zeros(0, dtype=torch.float64, device=device)
        self.count = 0.0
        self.first_bad = torch.zeros(0, dtype=torch.int64, device=device)

    def add(self, output: StepOutput, step: int, share: float) -> None:
        """Take in one micro-batch, which is ``share`` of a step."""
        if not self.names:
            self.names = [*output.parts, "loss"]
            self.sums = torch.zeros(len(self.names), dtype=torch.float64, device=self.device)
        if not len(self.first_bad):
            self.first_bad = torch.full((len(self.names),), -1, device=self.device)
        values = torch.stack([part.detach().double() for part in (*output.parts.values(), output.loss)])
        self.sums += share * values
        self.count += share
        bad = ~torch.isfinite(values) & (self.first_bad < 0)
        self.first_bad = torch.where(bad, step + 1, self.first_bad)

    def check(self) -> None:
        """Raise `NotFiniteError` if a part was ever not finite: a host synchronisation on a GPU."""
        bad = {name: step for name, step in zip(self.names, self.first_bad.tolist(), strict=False) if step >= 0}
        if bad:
            first = min(bad.values())
            terms = ", ".join(f"`{name}`" for name, step in bad.items() if step == first and name != "loss")
            raise NotFiniteError(
                f"{terms or '`loss`'} is not finite at step {first}. The last good checkpoint is kept. "
                "Lower the weight of the term or the learning rate, or set optim.clip."
            )

    def flush(self, accelerator: Accelerator) -> dict[str, Any]:
        """Means since the last call, over all processes; the one host copy of a logged step."""
        self.check()
        means = self.sums / max(self.count, 1e-9)
        if accelerator.num_processes > 1:
            means = accelerator.reduce(means, reduction="mean")
        parts = dict(zip(self.names, means.tolist(), strict=True))
        self.sums = torch.zeros_like(self.sums)
        self.count = 0.0
        return {"loss": parts.pop("loss"), "parts": parts}

    def state(self) -> dict[str, Tensor]:
        """Tensors to save."""
        return {"meter.sums": self.sums, "meter.count": torch.tensor(self.count, dtype=torch.float64)}

    def restore(self, state: dict[str, Tensor], names: list[str]) -> None:
        """Put saved tensors back."""
        self.names = names
        self.sums = state["meter.sums"].to(self.device)
        self.count = state["meter.count"].item()


class Clock:
    """Wall-clock of a run, over its interruptions."""

    def __init__(self, seconds_before: float, step: int, batch_size: int) -> None:
        self.start = time.perf_counter() - seconds_before
        self.last_step, self.last_time = step, time.perf_counter()
        self.batch_size = batch_size

    def seconds(self) -> float:
        """Seconds since the run began, without its interruptions."""
        return time.perf_counter() - self.start

    def lap(self, step: int) -> dict[str, float]:
        """What stands in ``timing.jsonl``: seconds, and images a second since the last lap with steps."""
        now = time.perf_counter()
        lap: dict[str, float] = {"seconds": round(self.seconds(), 3)}
        if step > self.last_step:
            lap["images_per_s"] = round((step - self.last_step) * self.batch_size / (now - self.last_time), 2)
        self.last_step, self.last_time = step, now
        return lap
