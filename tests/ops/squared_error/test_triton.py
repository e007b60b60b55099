from pathlib import Path

import pytest
import torch
from tests.ops.in_triton import either_way, run_cases

from benchmarks import compiled
from segdistill.ops import launch, squared_error
from segdistill.ops.launch import interpreted, warn_slow
from segdistill.ops.squared_error import fused

pytestmark = pytest.mark.skipif(fused.kernels is None or interpreted(), reason="Triton is missing or interpreted here")

CASES = Path(__file__).with_name("triton_cases.py")


@either_way
def test_the_kernel_equals_the_reference(interpret, tmp_path):
    run_cases(CASES, interpret, tmp_path)


class NoCompiler:
    """Triton on a machine where it cannot build its launcher."""

    def __init__(self):
        self.tried = 0

    def squared_error_triton(self, *args):
        self.tried += 1
        raise RuntimeError("Failed to find C compiler.")


@pytest.mark.parametrize("impl", ["auto", "fused"])
def test_a_kernel_that_cannot_be_launched_gives_way_with_one_warning(impl, monkeypatch, caplog):
    x, target = torch.randn(2, 3, 4, 5, 6)
    expected = fused.squared_error_by_image(x, target)
    kernels = NoCompiler()
    monkeypatch.setattr(fused, "kernels", kernels)
    monkeypatch.setattr(launch, "interpreted", lambda: True)
    monkeypatch.setattr(launch, "_tried", {})
    warn_slow.cache_clear()
    with caplog.at_level("WARNING"):
        values = [squared_error(x, target, impl=impl) for _ in range(3)]
    warn_slow.cache_clear()
    assert values == [expected] * 3
    assert kernels.tried == 1
    (said,) = caplog.messages
    assert said.startswith("The squared error is computed image by image, in many launches: Triton cannot launch")


def test_a_cpu_never_asks_for_triton(monkeypatch):
    monkeypatch.setattr(fused, "kernels", None)
    x, target = torch.randn(2, 3, 4, 5, 6)
    assert squared_error(x, target) == fused.squared_error_by_image(x, target)


@pytest.mark.parametrize("number", ["fp32", "bf16", "fp64"])
@pytest.mark.parametrize("arch", [80, 90])
def test_the_kernels_compile_for_a_gpu_with_wide_loads(number, arch, monkeypatch, tmp_path):
    triton = pytest.importorskip("triton")
    if "nvidia" not in triton.backends.backends:
        pytest.skip("this Triton does not compile for NVIDIA's GPUs")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")  # unset, newer versions warn
    made = compiled.compiled_for(compiled.squared_error(number), arch)
    assert "ld.global.v4" in made.asm["ptx"] or "ld.global.v2" in made.asm["ptx"]
