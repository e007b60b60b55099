"""One training step under torch's profiler, or the contrast kernel alone for Nsight Compute.

python -m benchmarks.profiled step --out step.txt
ncu --kernel-name regex:_contrast_kernel python -m benchmarks.profiled contrast
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks import contrast, step
from benchmarks.small import shrink
from segdistill.ops import dense_contrast
from segdistill.types import IGNORE_INDEX

WARM_UP = 3
ROWS = 80


def _one_channel(event: Any) -> bool:
    """A convolution whose kernel has one input channel and several outputs."""
    shapes = event.input_shapes if "conv" in event.key else []
    return any(len(shape) == 4 and shape[0] > 1 and shape[1] == 1 for shape in shapes[1:])


WATCHED: dict[str, Callable[[Any], bool]] = {
    "convolution of one channel to many": _one_channel,
    "transposes between layouts": lambda event: any(word in event.key.lower() for word in ("nchwtonhwc", "nhwctonchw")),
    "squared error": lambda event: "squared_error" in event.key or "segdistill::scaled" in event.key,
    "bilinear backward": lambda event: "bilinear2d_backward" in event.key,
}
"""What a step should spend little on, and how its lines are known."""


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiled", description=__doc__)
    parser.add_argument("what", choices=["step", "contrast"])
    parser.add_argument("--out", type=Path, help="text, of the step")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the command")
    given = parser.parse_args()
    if given.small:
        shrink()
    device = torch.device(given.device)
    if given.what == "contrast":
        one_contrast(device, given.batch)
        return
    text = step_table(device, given.batch)
    if given.out:
        given.out.write_text(text)
    print(text)


def one_contrast(device: torch.device, batch: int) -> None:
    """Forward pass, which makes the gradient too, on pooled maps of the largest published size."""
    size = next(iter(contrast.SIZES.values()))
    student = torch.randn(batch, contrast.CHANNELS, *size, device=device, requires_grad=True)
    print(dense_contrast(student, torch.randn_like(student).relu()).item())


def step_table(device: torch.device, batch: int) -> str:
    """Time of one step of ours by operation and input shape, what is watched first."""
    size, smallest = step.CASES[device.type][0]
    batch = max(batch, smallest) if device.type == "cuda" else smallest
    image = torch.rand(batch, 3, *size, device=device)
    labels = torch.randint(step.CLASSES, (batch, *size), device=device)
    labels[:, : size[0] // 8] = IGNORE_INDEX
    run, _, _ = step.our_step(image, labels, low=device.type == "cuda")
    for _ in range(WARM_UP):
        run()
    activities, by = [ProfilerActivity.CPU], "self_cpu_time_total"
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        activities, by = [*activities, ProfilerActivity.CUDA], "self_device_time_total"
    with profile(activities=activities, record_shapes=True) as watched:
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    events = watched.key_averages(group_by_input_shape=True)
    lines = [f"One step of ours, {batch} images of {size[0]}x{size[1]} on {device.type}. To look for:", ""]
    for what, known in WATCHED.items():
        found = [event for event in events if known(event)]
        lines += [f"{what}: {sum(event.count for event in found)} calls"]
        lines += [f"    {getattr(e, by) / 1e3:9.3f} ms  {e.key}  {e.input_shapes}" for e in found]
    table = events.table(sort_by=by, row_limit=ROWS, max_name_column_width=80, max_shapes_column_width=120)
    return "\n".join([*lines, "", table]) + "\n"


if __name__ == "__main__":
    main()
