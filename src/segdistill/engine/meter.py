"""Running means of the loss and its parts, a guard against values that are not finite, clock and memory."""

import contextlib
import ctypes
import gc
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from segdistill.types import StepOutput
from segdistill.util import NotFiniteError


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
        self._refuse(self.first_bad.tolist())

    def _refuse(self, first_bad: list[float]) -> None:
        bad = {name: int(step) for name, step in zip(self.names, first_bad, strict=False) if step >= 0}
        if bad:
            first = min(bad.values())
            terms = ", ".join(f"`{name}`" for name, step in bad.items() if step == first and name != "loss")
            raise NotFiniteError(
                f"{terms or '`loss`'} is not finite at step {first}. The last good checkpoint is kept. "
                "Lower the weight of the term or the learning rate, or set optim.clip."
            )

    def flush(self, accelerator: Accelerator) -> dict[str, Any]:
        """Means since the last call, over all processes, and `check`; the one host copy of a logged step."""
        means = self.sums / max(self.count, 1e-9)
        if accelerator.num_processes > 1:
            means = accelerator.reduce(means, reduction="mean")
        numbers, first_bad = torch.stack([means, self.first_bad.double()]).tolist()
        self._refuse(first_bad)
        parts = dict(zip(self.names, numbers, strict=True))
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
    """Wall-clock of the training of a run, over its interruptions; validations and diagnostics stop it."""

    def __init__(self, seconds_before: float, step: int, batch_size: int, device: torch.device) -> None:
        self.start = time.perf_counter() - seconds_before
        self.device = device
        self.last_step, self.last_seconds = step, seconds_before
        self.batch_size = batch_size

    def seconds(self) -> float:
        """Seconds of training since the run began."""
        return time.perf_counter() - self.start

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """What runs inside does not count; what a GPU still has to do from before does."""
        before = self._now()
        try:
            yield
        finally:
            self.start += self._now() - before

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def lap(self, step: int) -> dict[str, float]:
        """What stands in ``timing.jsonl``: seconds, and images a second since the last lap with steps."""
        seconds = self.seconds()
        lap: dict[str, float] = {"seconds": round(seconds, 3)}
        if step > self.last_step and seconds > self.last_seconds:
            lap["images_per_s"] = round((step - self.last_step) * self.batch_size / (seconds - self.last_seconds), 2)
        self.last_step, self.last_seconds = step, seconds
        return lap


class PeakMemory:
    """Largest memory in use since construction.

    On a GPU what torch allocated there. On a CPU the resident memory of this process (Linux; elsewhere
    unknown), which holds the program itself too; a loader's worker processes are not in it.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            gc.collect()
            with contextlib.suppress(OSError, AttributeError):  # glibc alone has it, Linux alone has the file
                ctypes.CDLL(None).malloc_trim(0)  # gives back what earlier runs of this process left
                Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, see proc(5)

    def megabytes(self) -> float | None:
        """The peak in MiB; None where it cannot be known."""
        if self.device.type == "cuda":
            return round(torch.cuda.max_memory_allocated(self.device) / 2**20, 1)
        try:
            status = Path("/proc/self/status").read_text()
        except OSError:
            return None
        peak = re.search(r"VmHWM:\s+(\d+) kB", status)
        return None if peak is None else round(int(peak[1]) / 2**10, 1)
