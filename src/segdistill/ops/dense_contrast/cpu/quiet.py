"""What torch's compiler says on a CPU about CUDA, kept from the terminal."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

NOTICE = "No CUDA runtime is found"  # logged where CUDA's tools are installed and no GPU is there


@contextmanager
def without_cuda_notice() -> Iterator[None]:
    """Drop that one record, which torch logs as a warning when it first compiles anything; all else is let through."""
    logger = logging.getLogger("torch.utils.cpp_extension")
    logger.addFilter(_other)
    try:
        yield
    finally:
        logger.removeFilter(_other)


def _other(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(NOTICE)
