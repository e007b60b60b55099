"""Cases of a Triton kernel, in a process of their own: Triton decides when it is imported how its kernels run."""

import os
import subprocess
import sys

import pytest
import torch

either_way = pytest.mark.parametrize("interpret", ["1", pytest.param("0", marks=pytest.mark.gpu)])


def run_cases(file, interpret, tmp_path):
    """Run a file of cases, interpreted on the CPU or compiled for the GPU; none may be skipped."""
    if interpret == "0" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "--basetemp", tmp_path / "cases", file],
        env={**os.environ, "TRITON_INTERPRET": interpret, "TRITON_DEFAULT_FP_FUSION": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout.splitlines()[-1]


def nan_instead_of_whatever_was_there(make):
    """Make tensors as ``make`` does, full of nan: what a kernel leaves unwritten shows."""
    return lambda *args, **options: make(*args, **options).fill_(torch.nan)
