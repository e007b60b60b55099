"""What torch's compiler says about CUDA, kept from the terminal: nothing of it is for the user to mend."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

NOTICE = "No CUDA runtime is found"  # logged where CUDA's tools are installed and no GPU is there
TF32_ADVICE = "TensorFloat32 tensor cores"  # warned of where a GPU has them and float32 products do without


@contextmanager
def without_cuda_notice() -> Iterator[None]:
    """Drop these two, which come when torch first compiles anything; all else is let through."""

    def other(record: logging.LogRecord) -> bool:  # a new one each time: such contexts lie inside each other
        return not str(record.msg).startswith(NOTICE)

    logger = logging.getLogger("torch.utils.cpp_extension")
    logger.addFilter(other)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=TF32_ADVICE)
            yield
    finally:
        logger.removeFilter(other)
