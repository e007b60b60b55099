import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from segdistill.ops.dense_contrast.fused import kernels

pytestmark = pytest.mark.skipif(kernels is None, reason="Triton is not installed")

CASES = Path(__file__).with_name("triton_cases.py")


@pytest.mark.parametrize("interpret", ["1", pytest.param("0", marks=pytest.mark.gpu)])
def test_the_kernel_equals_the_reference(interpret, tmp_path):
    if interpret == "0" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "--basetemp", tmp_path / "cases", CASES],
        env={**os.environ, "TRITON_INTERPRET": interpret, "TRITON_DEFAULT_FP_FUSION": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("number", ["fp32", "bf16", "fp64"])
@pytest.mark.parametrize("distance", ["l1", "l2", "cosine"])
def test_the_kernel_compiles_for_a_gpu_and_exchanges_no_rows(distance, number, monkeypatch, tmp_path):
    triton = pytest.importorskip("triton")
    if "nvidia" not in triton.backends.backends:
        pytest.skip("this Triton does not compile for NVIDIA's GPUs")
    if kernels.interpreted():
        pytest.skip("Triton is interpreted here")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")  # unset, newer versions warn
    exact = "fp64" if number == "fp64" else "fp32"
    constants = {
        "DISTANCE": distance,
        "GROUPS": 16,
        "WITH_GRAD": True,
        "ACCUMULATOR": triton.language.dtype(exact),
        "ANCHORS": 4,
        "CELLS": 256,
        "CHANNELS": 8,
    }
    maps = {"student": f"*{number}", "teacher": f"*{number}", "losses": f"*{exact}", "grads": f"*{exact}"}
    numbers = {"cells": "i32", "width": "i32", "blocks": "i32", "sharpness": f"*{exact}"}
    source = triton.compiler.ASTSource(
        fn=kernels._contrast_kernel,
        signature={**maps, **numbers, **dict.fromkeys(constants, "constexpr")},
        constexprs=constants,
        attrs={(i,): [["tt.divisibility", 16]] for i in range(6)},
    )
    target = triton.backends.compiler.GPUTarget("cuda", 80, 32)
    compiled = triton.compile(source, target=target, options={"num_warps": 1})
    # What little there is serves the anchors' sums; a teacher's row of 256 cells would need 512 bytes and more.
    assert compiled.metadata.shared <= 64
