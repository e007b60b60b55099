"""What a run writes beside its weights: environment, log, pictures, TensorBoard, latency."""

import contextlib
import logging
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from PIL import Image
from torch import Tensor

from segdistill import rundir
from segdistill.engine.evaluate import Protocol, Segment, class_scores, to_device
from segdistill.labels import ignored_color
from segdistill.types import IGNORE_INDEX, Batch

REPORTED_PACKAGES = ("segdistill", "torch", "torchvision", "timm", "accelerate", "numpy")
WARM_UP = 3  # passes before those that are timed


def environment(accelerator: Accelerator) -> dict[str, Any]:
    """What a number depends on beside the recipe."""
    device = accelerator.device
    return {
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": " ".join(["segdistill", *sys.argv[1:]]),
        "commit": _commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "processes": accelerator.num_processes,
        "packages": {name: version(name) for name in REPORTED_PACKAGES},
    }


def _commit() -> str | None:
    """The commit of the source tree, marked ``-dirty`` if changed; None for an installed package."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


@contextlib.contextmanager
def event_log(folder: Path, accelerator: Accelerator) -> Iterator[None]:
    """Warnings and messages of the package go to ``events.log`` too."""
    if not accelerator.is_main_process:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / rundir.EVENTS, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    package = logging.getLogger("segdistill")
    package.addHandler(handler)
    try:
        yield
    except Exception as error:  # to the file alone: the caller shows it
        fields = (type(error).__name__, error)
        handler.handle(logging.LogRecord(__name__, logging.ERROR, __file__, 0, "%s: %s", fields, None))
        raise
    finally:
        package.removeHandler(handler)
        handler.close()


def tensorboard(folder: Path) -> Callable[[dict[str, Any]], None]:
    """A function that takes every record of a run to TensorBoard.

    Raises:
        ValueError: If it is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError(
            "`train.tracker` is tensorboard, which is not installed: pip install segdistill[tensorboard]."
        ) from None
    writer = SummaryWriter(str(folder / "tensorboard"))

    def write(record: dict[str, Any]) -> None:
        flat = {f"val/{k}": v for k, v in record.get("val", {}).items() if isinstance(v, float)}
        flat |= {f"loss/{k}": v for k, v in record.get("parts", {}).items()}
        flat |= {key: value for key, value in record.items() if isinstance(value, float)}
        for key, value in flat.items():
            writer.add_scalar(key, value, record["step"])
        writer.flush()

    return write


@torch.no_grad()
def latencies(
    segments: Mapping[str, Segment], loader: Iterable[Batch], device: torch.device, *, repeats: int
) -> dict[str, float]:
    """Median milliseconds from one image of the set to its logits, batch 1, of every network.

    Networks take turns, so that a slow moment is slow for all.
    """
    image = to_device(next(iter(loader)), device).image
    seconds: dict[str, list[float]] = {name: [] for name in segments}
    for _ in range(WARM_UP + repeats):
        for name, segment in segments.items():
            start = time.perf_counter()
            segment(image)
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - start)
    return {name: round(1e3 * statistics.median(times[WARM_UP:]), 3) for name, times in seconds.items()}


def write_gallery(
    folder: Path,
    segments: Mapping[str, Segment],
    loader: Iterable[Batch],
    samples: Sequence[Mapping[str, Any]],
    *,
    colors: Sequence[tuple[int, int, int]],
    device: torch.device,
    protocol: Protocol,
) -> None:
    """Write images, their truth and predictions in class colours for the report; replaces what was there.

    Args:
        folder: ``image_000.png``, ``truth_000.png``, one picture for every name in ``segments``, ...
        segments: Networks by the name of their pictures: ``prediction``, ``teacher``.
        loader: The images, one a batch.
        samples: Name and mIoU of each.
        colors: Of the classes.
        device: Where to run.
        protocol: How to predict.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*_[0-9][0-9][0-9].png"):
        old.unlink()
    for index, cpu_batch in enumerate(loader):
        batch = to_device(cpu_batch, device)
        size = batch.target.shape[-2:]
        pixels = F.interpolate(batch.image, size, mode="bilinear", antialias=True).clamp(0, 1)
        pictures = {
            "image": (pixels[0].permute(1, 2, 0) * 255).round().to(torch.uint8).cpu().numpy(),
            "truth": colored(batch.target[0], colors),
        }
        for name, segment in segments.items():
            pictures[name] = colored(class_scores(segment, batch.image, size, protocol).argmax(1)[0], colors)
        for name, array in pictures.items():
            Image.fromarray(array).save(folder / f"{name}_{index:03d}.png")
    rundir.write_json(folder / Path(rundir.GALLERY_INDEX).name, {"samples": [dict(sample) for sample in samples]})


def colored(ids: Tensor, colors: Sequence[tuple[int, int, int]]) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """Class ids (H, W) as an RGB picture; ignored pixels have a colour of no class."""
    table = np.full((IGNORE_INDEX + 1, 3), ignored_color(colors), np.uint8)
    for index, color in enumerate(colors):
        table[index] = color
    picture: np.ndarray[Any, np.dtype[np.uint8]] = table[ids.cpu().numpy()]
    return picture
