from pathlib import Path

import pytest
from tests.ops.in_triton import either_way, run_cases

from benchmarks import compiled
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
    made = compiled.compiled_for(compiled.contrast(distance, number), 80)
    # What little there is serves the anchors' sums; a teacher's row of 256 cells would need 512 bytes and more.
    assert made.metadata.shared <= 64
