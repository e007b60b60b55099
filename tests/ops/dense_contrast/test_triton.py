from pathlib import Path

import pytest
from tests.ops.in_triton import either_way, run_cases

from segdistill.ops.dense_contrast.fused import kernels
from segdistill.ops.launch import interpreted

pytestmark = pytest.mark.skipif(kernels is None, reason="Triton is not installed")

CASES = Path(__file__).with_name("triton_cases.py")


@either_way
def test_the_kernel_equals_the_reference(interpret, tmp_path):
    run_cases(CASES, interpret, tmp_path)


@pytest.mark.parametrize("number", ["fp32", "bf16", "fp64"])
@pytest.mark.parametrize("distance", ["l1", "l2", "cosine"])
def test_the_kernel_compiles_for_a_gpu_and_exchanges_no_rows(distance, number, monkeypatch, tmp_path):
    triton = pytest.importorskip("triton")
    if "nvidia" not in triton.backends.backends:
        pytest.skip("this Triton does not compile for NVIDIA's GPUs")
    if interpreted():
        pytest.skip("Triton is interpreted here")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")  # unset, newer versions warn
    exact = "fp64" if number == "fp64" else "fp32"
    constants = {
        "R": 256,
        "D": 128,
        "DISTANCE": distance,
        "GROUPS": 16,
        "WITH_GRAD": True,
        "ACCUMULATOR": triton.language.dtype(exact),
        "ANCHORS": 4,
        "CELLS": 256,
        "CHANNELS": 8,
    }
    maps = {"student": f"*{number}", "teacher": f"*{number}", "losses": f"*{exact}", "grads": f"*{exact}"}
    numbers = {"sets": "i32", "processors": "i32", "sharpness": f"*{exact}"}
    source = triton.compiler.ASTSource(
        fn=kernels._contrast_kernel,
        signature={**maps, **numbers, **dict.fromkeys(constants, "constexpr")},
        constexprs=constants,
        attrs={(i,): [["tt.divisibility", 16]] for i in (0, 1, 2, 3, 6)},
    )
    target = triton.backends.compiler.GPUTarget("cuda", 80, 32)
    compiled = triton.compile(source, target=target, options={"num_warps": 1})
    # What little there is serves the anchors' sums; a teacher's row of 256 cells would need 512 bytes and more.
    assert compiled.metadata.shared <= 64
