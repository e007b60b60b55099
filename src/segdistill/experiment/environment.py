"""What a number depends on beside the recipe, and the log of a run."""

import contextlib
import logging
import platform
import subprocess
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from accelerate import Accelerator

from segdistill import store
from segdistill.recipe import Recipe
from segdistill.store import Environment
from segdistill.util import command

REPORTED_PACKAGES = ("segdistill", "torch", "torchvision", "timm", "accelerate", "numpy")


def environment(accelerator: Accelerator, recipe: Recipe) -> Environment:
    """What a number depends on beside the recipe, and what that left to the device: see `for_device`."""
    device = accelerator.device
    return Environment(
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
        command=command(),
        commit=_commit(),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        threads=torch.get_num_threads(),
        processes=accelerator.num_processes,
        precision=recipe.train.precision,
        channels_last=recipe.train.channels_last,
        packages={name: found for name in REPORTED_PACKAGES if (found := _version(name))},
    )


def environment_of(folder: Path) -> Environment | None:
    """What the run of a folder had; None if it does not say."""
    path = folder / store.ENVIRONMENT
    return store.read_record(Environment, path) if path.is_file() else None


def _version(package: str) -> str | None:
    """None of a package that is not installed, as ours where it runs from its source tree."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


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
    handler = logging.FileHandler(folder / store.EVENTS, encoding="utf-8")
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
