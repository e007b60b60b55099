"""What a recipe leaves to the device: precision and memory layout, and torch's switches while it runs.

A GPU has tensor cores, and bf16 in `channels_last` is what they are fast in. A CPU mostly has neither, and stays with
float32 as maps come. A value in the recipe goes before both, and a run that is resumed goes on with what it had.
"""

import contextlib
import os
from collections.abc import Iterator

import torch
from accelerate import Accelerator

from segdistill.distill import Distiller
from segdistill.experiment.session import Built
from segdistill.networks import ALONE, Teacher, Teachers, synchronise_norms
from segdistill.recipe import Recipe
from segdistill.store import Environment
from segdistill.util import without_cuda_notice


def for_device(recipe: Recipe, device: torch.device, earlier: Environment | None = None) -> Recipe:
    """The recipe with what it leaves to the device filled in; ``earlier`` is of the run that is resumed."""
    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return filled_in(recipe, device.type, has_bf16=has_bf16, earlier=earlier)


def filled_in(recipe: Recipe, device: str, *, has_bf16: bool, earlier: Environment | None = None) -> Recipe:
    """As `for_device`, of the name of a device alone.

    Args:
        recipe: ``train.precision`` and ``train.channels_last``, if it says so. The paper's protocol is in float32.
        device: ``cpu`` or ``cuda``.
        has_bf16: Whether the GPU computes in bf16 itself.
        earlier: Environment of the run that is resumed; None for a new one.
    """
    train, earlier = recipe.train, earlier or Environment()
    fast = device == "cuda" and has_bf16 and recipe.evaluate.protocol != "paper"
    precision = train.precision or earlier.precision or ("bf16" if fast else "fp32")
    of_gpu = device == "cuda" and precision == "bf16"  # in float32 it would cost conversions and win nothing
    layouts = (train.channels_last, earlier.channels_last, of_gpu)
    channels_last = next(layout for layout in layouts if layout is not None)
    chosen = {"precision": precision, "channels_last": channels_last}
    return recipe.model_copy(update={"train": train.model_copy(update=chosen)})


def in_words(recipe: Recipe, device: str, threads: int) -> str:
    """What a run computes with, in a line.

    Args:
        recipe: As `for_device` gave it.
        device: ``cpu``, or the name of the GPU.
        threads: Of torch; on a CPU they are said.
    """
    train = recipe.train
    how = f"{threads} thread{'s'[: threads != 1]}"
    if device != "cpu":
        how = "deterministic algorithms" if train.deterministic else "the fastest of cuDNN's algorithms"
    parts = [how, str(train.precision), "channels_last" if train.channels_last else "channels first"]
    for name, config in recipe.taught_by.items() if recipe.terms else ():
        who = "the teacher" if name == ALONE else f"the teacher {name}"
        parts.append(f"{who} in {config.precision or train.precision}{' and folded' if config.fold_bn else ''}")
    keys = ["train.threads or OMP_NUM_THREADS"] if device == "cpu" else []
    return f"{device}: {', '.join(parts)} ({', '.join([*keys, 'train.precision', 'train.channels_last'])} set others)"


@contextlib.contextmanager
def switched(recipe: Recipe, device: str) -> Iterator[None]:
    """The switches of torch for what runs inside; afterwards they are as before.

    On a GPU cuDNN tries its algorithms at every new size and keeps the fastest. With ``train.deterministic`` it takes
    the one that gives equal bits, and torch does so too; what has no such form is named in a warning.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    strict, mild = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    if recipe.train.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it once, when it first computes
        cudnn.benchmark, cudnn.deterministic = False, True
        torch.use_deterministic_algorithms(True, warn_only=True)
    elif device == "cuda" and not strict:
        cudnn.benchmark = True
    try:
        with without_cuda_notice():
            yield
    finally:
        cudnn.benchmark, cudnn.deterministic = before
        torch.use_deterministic_algorithms(strict, warn_only=mild)


def place(recipe: Recipe, built: Built, accelerator: Accelerator) -> tuple[Distiller, Teacher | Teachers | None]:
    """Distiller and teacher on their device, laid out, synchronised and compiled as the recipe says."""
    train, device = recipe.train, accelerator.device
    distiller = built.distiller.to(device)
    teacher = None if built.teacher is None else built.teacher.to(device)
    if train.channels_last:
        for network in (distiller, teacher):
            if network is not None:
                network.to(memory_format=torch.channels_last)
    if accelerator.num_processes > 1 and device.type == "cuda" and not train.freeze_bn:
        synchronise_norms(distiller, distiller.network)
    if train.compile:
        distiller.network.module.compile()  # in place: names, weights and files stay
    return distiller, teacher
