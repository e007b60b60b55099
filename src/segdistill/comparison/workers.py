"""Several processes on one comparison: each takes the runs that nobody else has."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from segdistill.engine import Stopped, StopSignal
from segdistill.util import ArgumentError

POLL_SECONDS = 0.5


def run_workers(arguments: Sequence[str], jobs: int, folder: Path) -> None:
    """Start the command line ``jobs`` times and wait until all have ended.

    GPUs are dealt out in turn, cores in equal shares. What a worker says goes to ``worker_<n>.log``.

    Args:
        arguments: Of the command line, without the program.
        jobs: Number of processes.
        folder: Of the comparison.

    Raises:
        ValueError: If a worker failed; shows the end of its log.
        Stopped: If SIGINT or SIGTERM came; the workers have saved their state.
    """
    files = [folder / f"worker_{number}.log" for number in range(jobs)]
    workers = []
    for number, file in enumerate(files):
        with file.open("w", encoding="utf-8") as log:
            command = [sys.executable, "-m", "segdistill", *arguments]
            environment = _share(number, jobs)
            workers.append(subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT))
    with StopSignal() as stop:
        while any(worker.poll() is None for worker in workers):
            if stop.received:
                break
            time.sleep(POLL_SECONDS)
        for worker in workers:
            if worker.poll() is None:
                worker.send_signal(stop.received)
        codes = [worker.wait() for worker in workers]
    if stop.received:
        raise Stopped(0, stop.received)
    for code, file in zip(codes, files, strict=True):
        if code:
            last = file.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise ArgumentError(f"a worker ended with exit code {code}: {' '.join(last)} (all of it: {file})")


def _share(number: int, jobs: int) -> dict[str, str]:
    """The environment of worker ``number``: its GPU, its cores."""
    share = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs))} | dict(os.environ)
    count = torch.cuda.device_count()
    if count:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(count)))
        share["CUDA_VISIBLE_DEVICES"] = visible.split(",")[number % count]
    return share
