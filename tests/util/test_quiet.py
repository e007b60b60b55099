import logging
import os
import shutil
import subprocess
import sys
import warnings

import pytest

from segdistill.util.quiet import NOTICE, TF32_ADVICE, without_cuda_notice

COMPILED = """
import torch
from segdistill.ops import dense_contrast
from segdistill.ops.dense_contrast.cpu import chunked
chunked.WORTH_COMPILING = 0
student = torch.randn(1, 48, 4, 4, requires_grad=True)
dense_contrast(student, torch.randn(1, 48, 4, 4)).backward()
print(*chunked._broken, chunked._compiled.cache_info().currsize)
"""


@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "c++")) is None, reason="no C++ compiler is found")
def test_a_compiled_contrast_says_nothing_at_the_terminal(tmp_path):
    # CUDA's tools without a GPU are what torch remarks on.
    variables = {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path), "CUDA_HOME": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", COMPILED], capture_output=True, text=True, timeout=300, env={**os.environ, **variables}
    )
    assert (done.stdout.strip(), done.stderr) == ("1", "")


def test_everything_else_is_let_through(caplog):
    logger = logging.getLogger("torch.utils.cpp_extension")
    with caplog.at_level(logging.WARNING, logger=logger.name):
        with without_cuda_notice():
            with without_cuda_notice():
                pass
            logger.warning(NOTICE + ", using CUDA_HOME='%s'", "/usr/local")
            logger.warning("The compiler is too old")
        logger.warning(NOTICE)
    assert caplog.messages == ["The compiler is too old", NOTICE]


def test_advice_about_float32_products_is_no_warning_of_ours():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with without_cuda_notice():
            warnings.warn(f"{TF32_ADVICE} for float32 matrix multiplication available but not enabled.", stacklevel=1)
            warnings.warn("something else", stacklevel=1)
    assert [str(one.message) for one in seen] == ["something else"]
