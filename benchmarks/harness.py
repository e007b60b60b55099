"""Two ways to compute one thing, measured in turn on the same tensors: seconds, their spread, ratio, peak memory."""

import gc
import itertools
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

Way = Callable[[], Tensor]
"""Computes a scalar to differentiate; None as its value: it did everything itself, a whole step."""


Lap = tuple[float, ...]
"""Seconds of forward and backward pass, or of everything at once."""


def measure(ways: Mapping[str, Way], leaves: Iterable[Tensor], *, turns: int, device: torch.device) -> dict[str, Any]:
    """Measure forward and backward pass of every way, one after the other, ``turns`` times after one for warming up.

    Args:
        ways: By name; the first is the one that the others are compared with.
        leaves: Tensors to differentiate by.
        turns: How many times each is measured.
        device: Of the tensors.

    Returns:
        ``ways``: for each, milliseconds of ``forward``, ``backward`` (neither where a way did it all) and ``both`` as
        median and quartiles, and ``extra_peak_mb``, memory beyond what was in use before (gradients included), MiB.
        ``ratios``: for each but the first, median and quartiles over the turns of how many times less time and memory
        it takes than the first. A way that runs out of memory has ``"out of memory"`` instead of numbers.
    """
    leaves = list(leaves)
    seconds: dict[str, list[Lap]] = {name: [] for name in ways}
    failed: set[str] = set()
    for turn in range(turns + 1):
        for name, way in ways.items():
            if name in failed:
                continue
            try:
                lap = _lap(way, leaves, device)
            except torch.cuda.OutOfMemoryError:
                failed.add(name)
                _empty(device)
                continue
            if turn:
                seconds[name].append(lap)
    memory = {name: None if name in failed else extra_peak(way, leaves, device) for name, way in ways.items()}
    return _summary(seconds, memory, failed)


def _lap(way: Way, leaves: list[Tensor], device: torch.device) -> Lap:
    start = _now(device)
    value = way()
    middle = _now(device)
    if value is None:
        return (middle - start,)
    torch.autograd.grad(value, leaves, allow_unused=True)
    return middle - start, _now(device) - middle


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def extra_peak(way: Way, leaves: list[Tensor], device: torch.device) -> float:
    """MiB that a forward and backward pass holds at its worst moment, beyond what is held before.

    What torch's allocator hands out, of the GPU or of the CPU; what a library keeps for itself inside is not in it.
    """
    _empty(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        _lap(way, leaves, device)
        return _mebibytes(torch.cuda.max_memory_allocated(device) - before)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        _lap(way, leaves, device)
    assert watched.profiler is not None
    events = [event for event in watched.profiler.kineto_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return _mebibytes(max(itertools.accumulate((event.nbytes() for event in events), initial=0)))


def _mebibytes(count: float) -> float:
    return round(count / 2**20, 2)


def _empty(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _summary(seconds: Mapping[str, list[Lap]], memory: Mapping[str, float | None], failed: set[str]) -> dict[str, Any]:
    ways: dict[str, Any] = {}
    for name, laps in seconds.items():
        if name in failed:
            ways[name] = "out of memory"
            continue
        parts = {"both": [sum(lap) for lap in laps]}
        if all(len(lap) == 2 for lap in laps):
            parts = {"forward": [lap[0] for lap in laps], "backward": [lap[1] for lap in laps], **parts}
        ways[name] = {part: _spread([1e3 * value for value in values]) for part, values in parts.items()}
        ways[name]["extra_peak_mb"] = memory[name]
    first, *others = seconds
    ratios = {}
    for name in others:
        if {first, name} & failed:
            continue
        pairs = zip(seconds[first], seconds[name], strict=True)
        ratios[name] = {"time": _spread([sum(a) / sum(b) for a, b in pairs]), "memory": None}
        if memory[first] and memory[name]:
            ratios[name]["memory"] = round(memory[name] / memory[first], 4)  # type: ignore[operator]
    return {"ways": ways, "ratios": ratios}


def _spread(values: list[float]) -> dict[str, float]:
    quartiles = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else 3 * values
    return dict(zip(("q25", "median", "q75"), (round(value, 4) for value in quartiles), strict=True))


def environment(device: torch.device) -> dict[str, Any]:
    """What the numbers depend on."""
    with suppress(ImportError):
        import triton

    return {
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "triton": triton.__version__ if "triton" in locals() else None,
        "cudnn": torch.backends.cudnn.version() if device.type == "cuda" else None,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {_processor()}",
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "tf32": {
            "convolution": torch.backends.cudnn.allow_tf32,
            "matrix product": torch.backends.cuda.matmul.allow_tf32,
        },
    }


def commit() -> str | None:
    """Of this checkout, with a mark where the code has changed since; None without git, or outside a checkout."""
    here = Path(__file__).parent
    results = f":(exclude){here}/results"  # written while it is measured
    code = (str(here), str(here.parent / "src"), results)
    found = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", *code)
    return f"{found} with changes" if found and changed else found


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *words], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):  # no such program; no checkout
        return None
    return done.stdout.strip() or None


def _processor() -> str:
    with suppress(OSError):
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
        if found:
            return found[1]
    return platform.processor()
