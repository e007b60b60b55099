"""Reading a ``.pth`` that another code base wrote: tensors and plain values, and nothing that runs."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from segdistill.networks.network import Network
from segdistill.networks.tensors import PICKLES, fill, read_tensors
from segdistill.util import ArgumentError, MissingFileError

_WRAPPERS: Final = ("state_dict", "model_state_dict", "model")

_SCALAR: Final = np.float64(0).__reduce__()[0]  # makes a numpy number of a type and bytes
_NUMBERS: Final[list[Any]] = [
    np.dtype,
    *(type(np.dtype(kind)) for kind in (bool, "i4", "i8", "f4", "f8")),
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),  # of numpy 1 and of numpy 2
]
"""What may be in a file beside what torch allows: numpy's numbers, such as the best score of a training."""


def read_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a PyTorch checkpoint with ``weights_only=True``, which runs nothing; numpy's numbers are allowed too.

    Args:
        path: The file: a state dict, or a mapping that holds one as ``state_dict``, ``model_state_dict`` or ``model``.

    Returns:
        The state dict, on the CPU, its keys without a leading ``module.``; and what stands beside it in the file.

    Raises:
        MissingFileError: If there is no such file.
        ArgumentError: If torch refuses the file, or it holds no state dict.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingFileError(f"`path` must be a checkpoint file; {file} is not a file.")
    try:
        with torch.serialization.safe_globals(_NUMBERS):
            content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch reports a file that it refuses with many types
        thing = re.search(r"GLOBAL ([\w.]+)", str(error))
        why = f"it holds {thing[1]}. Save its state dict alone" if thing else type(error).__name__
        raise ArgumentError(
            f"`path` must be a PyTorch checkpoint of tensors and plain values only; torch refuses {file}: {why}."
        ) from error
    beside: dict[str, Any] = {}
    if isinstance(content, Mapping):
        wrapper = next((key for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if wrapper is not None:
            beside = {str(key): value for key, value in content.items() if key != wrapper}
            content = content[wrapper]
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise ArgumentError(f"`path` must be a checkpoint with a state dict; {file} holds something else.")
    return {key.removeprefix("module."): value for key, value in content.items()}, beside


def load_weights(network: Network, path: str | Path) -> None:
    """Fill a network with the tensors of a file: of `save_network`, or a state dict as safetensors or ``.pth``.

    Raises:
        MissingFileError, WeightsError: If there is no such file, or its tensors are not exactly those of the network.
        ArgumentError: If a ``.pth`` holds anything but tensors.
    """
    fill(network.module, read_state(path), f"{path} must hold the tensors of {network!r}")


def read_state(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a file by name, on the CPU: a safetensors file, or a checkpoint of PyTorch by its suffix.

    Raises:
        MissingFileError, WeightsError, ArgumentError: As `read_tensors` and `read_checkpoint` do.
    """
    return read_checkpoint(path)[0] if Path(path).suffix.lower() in PICKLES else read_tensors(path)[0]
