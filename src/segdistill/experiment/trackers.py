"""Trackers that a run reports to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from segdistill import store
from segdistill.util import ArgumentError


def tensorboard(folder: Path) -> Callable[[dict[str, Any]], None]:
    """A function that takes every record of a run to TensorBoard.

    Raises:
        ValueError: If it is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ArgumentError(
            "`train.tracker` is tensorboard, which is not installed: pip install segdistill[tensorboard]."
        ) from None
    writer = SummaryWriter(str(folder / store.TENSORBOARD))

    def write(record: dict[str, Any]) -> None:
        flat = {f"val/{k}": v for k, v in record.get("val", {}).items() if isinstance(v, float)}
        flat |= {f"loss/{k}": v for k, v in record.get("parts", {}).items()}
        flat |= {key: value for key, value in record.items() if isinstance(value, float)}
        for key, value in flat.items():
            writer.add_scalar(key, value, record["step"])
        writer.flush()

    return write
