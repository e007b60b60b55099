"""Several processes on one comparison: each takes the runs that nobody else has."""

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from segdistill.comparison.execution import is_over
from segdistill.comparison.planning import Planned
from segdistill.engine import StopSignal
from segdistill.experiment import CORES
from segdistill.util import RunError, Stopped, command

POLL_SECONDS = 0.5
PROGRAM = (sys.executable, "-m", "segdistill.comparison.worker")


def run_workers(runs: Sequence[Planned], jobs: int, folder: Path, on_done: Callable[[Planned], None]) -> None:
    """Start ``jobs`` workers on the same runs and wait until all have ended.

    GPUs are dealt out in turn, cores in equal shares. What a worker says goes to ``worker_<n>.log``.

    Args:
        runs: What to do.
        jobs: Number of processes.
        folder: Of the comparison.
        on_done: Called with every run that is over, once.

    Raises:
        RunError: If a worker failed; shows the end of its log.
        Stopped: If SIGINT or SIGTERM came; the workers have saved their state.
    """
    free_memory()
    files = [folder / f"worker_{number}.log" for number in range(jobs)]
    pending = list(runs)
    with StopSignal() as stop:
        workers = [_start(runs, number, jobs, file) for number, file in enumerate(files)]
        alive = True
        while alive and not stop.received:
            time.sleep(POLL_SECONDS)
            alive = any(worker.poll() is None for worker in workers)
            for run in [run for run in pending if is_over(run.folder)]:
                pending.remove(run)
                on_done(run)
        for worker in workers:
            if worker.poll() is None:
                worker.send_signal(stop.received)
        codes = [worker.wait() for worker in workers]
    if stop.received:
        raise Stopped(0, stop.received)
    for code, file in zip(codes, files, strict=True):
        if code:
            last = file.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise RunError(f"a worker ended with exit code {code}: {' '.join(last)} (all of it: {file})")


def free_memory() -> None:
    """Give back what this process holds on a GPU: the teacher that it trained is on file, and workers need the room."""
    gc.collect()
    torch.cuda.empty_cache()


def _start(runs: Sequence[Planned], number: int, jobs: int, file: Path) -> "subprocess.Popen[bytes]":
    """A worker in a session of its own: a terminal's Ctrl-C reaches it through us alone, once."""
    told = [
        {
            "title": run.title,
            "folder": str(run.folder),
            "recipe": run.recipe.model_dump(mode="json"),
            "own": run.own._asdict(),
        }
        for run in runs
    ]
    with tempfile.TemporaryFile() as source, file.open("wb") as log:
        source.write(json.dumps({"command": command(), "runs": told}).encode())
        source.seek(0)
        return subprocess.Popen(
            PROGRAM, env=_share(number, jobs), stdin=source, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip


def _share(number: int, jobs: int) -> dict[str, str]:
    """The environment of worker ``number``: its GPU, its cores."""
    share = {CORES: str(max(1, (os.cpu_count() or 1) // jobs))} | dict(os.environ)
    count = torch.cuda.device_count()
    if count:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(count)))
        share["CUDA_VISIBLE_DEVICES"] = visible.split(",")[number % count]
    return share
