import json

import pytest

from benchmarks import compiled, render
from segdistill.ops.launch import interpreted

triton = pytest.importorskip("triton")
pytestmark = pytest.mark.skipif(
    "nvidia" not in triton.backends.backends or interpreted(), reason="this Triton does not compile for NVIDIA's GPUs"
)


@pytest.mark.parametrize("arch", compiled.GPUS)
@pytest.mark.parametrize("number", compiled.NUMBERS)
def test_the_published_contrast_fits_its_registers(arch, number, monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")  # unset, newer versions warn
    found = compiled.resources(compiled.compiled_for(compiled.contrast("l1", number), arch).asm["ptx"])
    assert found["spill_bytes"] == 0
    assert 64 < found["registers"] <= 128  # so that sixteen programs of a warp fit a multiprocessor


def test_what_is_spilled_is_seen():
    body = "".join(f"ld.volatile.global.f32 %f{i}, [%rd1+{4 * i}];" for i in range(64))
    body += "".join(f"st.volatile.global.f32 [%rd1+{4 * i}], %f{63 - i};" for i in range(64))
    text = (
        ".version 7.4\n.target sm_80\n.address_size 64\n"
        ".visible .entry k(.param .u64 p) .maxntid 1024 .minnctapersm 2 "
        "{ .reg .f32 %f<64>; .reg .b64 %rd<3>; ld.param.u64 %rd0, [p]; cvta.to.global.u64 %rd1, %rd0;" + body + "ret; }"
    )
    found = compiled.resources(text)
    assert found["registers"] <= 32
    assert found["spill_bytes"] > 0


def test_the_file_is_shown_on_the_page():
    record = json.loads((render.RESULTS / "compiled.json").read_text())
    assert {"commit", "triton", "torch"} <= record["environment"].keys()
    kinds = {(one["kernel"], one["distance"], one["dtype"], one["arch"]) for one in record["kernels"]}
    assert len(kinds) == len(record["kernels"]) == 2 * 2 * (len(compiled.DISTANCES) + 1)
    page = render.render({**dict.fromkeys(render.read()), "compiled": record})
    for one in record["kernels"]:
        cells = f"| {one['dtype']} | {one['gpu']}, sm_{one['arch']} | {one['registers']} | {one['spill_bytes']} |"
        assert f"| {one['kernel']} | {one['distance'] or '-'} {cells}" in page
