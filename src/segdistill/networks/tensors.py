"""Reading files of tensors that nobody vouches for, and comparing them with what a network expects."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from segdistill.util import MissingFileError, WeightsError, quote, unsealed

PICKLES = {".bin", ".ckpt", ".pkl", ".pt", ".pth", ".tar"}
"""Suffixes of files that may be pickles."""


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file: its tensors by name, on the CPU, and the strings of its header.

    Args:
        path: The file.

    Raises:
        MissingFileError: If there is no such file.
        WeightsError: If the file is a pickle by its name, not a whole safetensors file, or one of ours in which a bit
            has changed.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingFileError(f"{file} does not exist; give a safetensors file.")
    if file.suffix.lower() in PICKLES:
        raise WeightsError(
            f"{file} must be a safetensors file; pickles are not read because they can run code. Convert it once: "
            "safetensors.torch.save_file(torch.load(OLD, weights_only=True), NEW)."
        )
    if problem := unsealed(file):
        raise WeightsError(f"{file} is damaged: {problem}. Copy it again, or train again.")
    try:
        with safe_open(file, framework="pt") as content:
            return {key: content.get_tensor(key) for key in content.keys()}, content.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{file} must be a whole safetensors file, and is not ({error}).") from error


def fill(module: nn.Module, tensors: Mapping[str, Tensor], sentence: str) -> None:
    """Fill a module with tensors that must be exactly its own.

    Args:
        module: Changed in place.
        tensors: By name.
        sentence: Says of what they must be, for the error: ``x.pth must hold the backbone``.

    Raises:
        WeightsError: If names or shapes differ; the first few are named.
    """
    if problem := misfit(tensors, module.state_dict()):
        raise WeightsError(f"{sentence}: {problem}.")
    module.load_state_dict(tensors)


def misfit(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """Say how tensors differ from the expected names and shapes; empty if they do not.

    Example:
        >>> import torch
        >>> misfit({"a": torch.zeros(2), "c": torch.zeros(1)}, {"a": torch.zeros(3), "b": torch.zeros(1)})
        'it lacks `b`; it has the unknown `c`; `a` has shape (2,) instead of (3,)'
    """
    missing = [key for key in expected if key not in found]
    unknown = [key for key in found if key not in expected]
    shapes = [
        f"`{key}` has shape {tuple(found[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in expected
        if key in found and found[key].shape != expected[key].shape
    ]
    parts = []
    if missing:
        parts.append(f"it lacks {quote(missing, 3)}")
    if unknown:
        parts.append(f"it has the unknown {quote(unknown, 3)}")
    if shapes:
        more = f" and {len(shapes) - 1} more shapes differ" if len(shapes) > 1 else ""
        parts.append(shapes[0] + more)
    return "; ".join(parts)
