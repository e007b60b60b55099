import os
import random
import shutil

import pytest
import torch
from torch import nn

from segdistill.losses import AfDCDLoss
from segdistill.ops import dense_contrast, launch
from segdistill.ops.dense_contrast import api, fused
from segdistill.ops.dense_contrast.fused import contrast_maps
from segdistill.ops.launch import interpreted, warn_slow

torch.set_num_threads(1)

pytestmark = pytest.mark.skipif(interpreted(), reason="Triton is interpreted here")

DISTANCES = ("l1", "l2", "cosine")
NEGATIVES = ("other_groups", "omni", "channel", "spatial")
CUT = {"groups": 3, "patch_size": (3, 2), "temperature": 0.5}


def maps(*shape, dtype=torch.float64):
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # of torch's own check
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("negatives", NEGATIVES)
def test_opcheck(distance, negatives):
    student, teacher = maps(2, 6, 3, 4, dtype=torch.float32)
    options = (3, (3, 2), 0.5, distance, negatives)
    torch.library.opcheck(contrast_maps, (student.clone().requires_grad_(), teacher, *options, True))
    torch.library.opcheck(contrast_maps, (student, teacher, *options, False))


@pytest.mark.parametrize("dtypes", [(torch.bfloat16, torch.float32), (torch.float32, torch.float64)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("with_grad", [True, False])
def test_shapes_and_dtypes_can_be_known_without_computing(dtypes, layout, with_grad):
    pair = [x.to(dtype, memory_format=layout) for x, dtype in zip(maps(2, 6, 3, 4), dtypes, strict=True)]
    done, said = (
        contrast_maps(*(x.to(device) for x in pair), 3, (3, 2), 0.5, "l1", "omni", with_grad)
        for device in ("cpu", "meta")
    )
    assert [(x.shape, x.stride(), x.dtype) for x in said] == [(x.shape, x.stride(), x.dtype) for x in done]


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("negatives", NEGATIVES)
def test_gradcheck(distance, negatives):
    student, teacher = maps(1, 6, 4, 5)
    assert torch.autograd.gradcheck(
        lambda x: dense_contrast(x, teacher, distance=distance, negatives=negatives, impl="fused", **CUT),
        student.requires_grad_(),
    )


def random_case(seed):
    draw = random.Random(seed)
    groups, width = draw.randint(2, 6), draw.randint(1, 9)
    patch = (draw.randint(1, 4), draw.randint(2, 4))
    size = [draw.randint(side, 3 * side) for side in patch]
    return (draw.randint(1, 3), groups * width, *size), {
        "groups": groups,
        "patch_size": patch,
        "temperature": draw.choice([0.07, 0.5, 4.0]),
        "distance": draw.choice(DISTANCES),
        "negatives": draw.choice(NEGATIVES),
    }


@pytest.mark.parametrize("seed", range(40))
def test_any_setting_equals_the_reference(seed):
    shape, options = random_case(seed)
    student, teacher = maps(*shape)
    if seed % 3 == 0:
        student = student.contiguous(memory_format=torch.channels_last)
    results = []
    for impl in ("reference", "fused"):
        x = student.clone().requires_grad_()
        value = dense_contrast(x, teacher, impl=impl, **options)
        (-2.5 * value).backward()  # a slope that is not 1
        results.append((value.detach(), x.grad))
    torch.testing.assert_close(results[1], results[0], rtol=1e-10, atol=1e-10)


def test_a_second_derivative_is_refused_instead_of_being_wrong():
    student, teacher = maps(1, 6, 3, 4)
    value = dense_contrast(student.requires_grad_(), teacher, impl="fused", **CUT)
    (gradient,) = torch.autograd.grad(value.square(), student, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.square().sum().backward()


def test_the_gradient_is_the_students_alone():
    student, teacher = maps(1, 6, 3, 4).requires_grad_().unbind()
    teacher.retain_grad()
    student.retain_grad()
    dense_contrast(student, teacher, impl="fused", **CUT).backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


@pytest.mark.parametrize("distance", DISTANCES)
def test_no_gradient_is_computed_where_none_is_wanted(distance, monkeypatch):
    asked = []

    def compute(*args):
        asked.append(args[-1])
        return compute_maps(*args)

    compute_maps = fused.contrast_maps
    monkeypatch.setattr(fused, "contrast_maps", compute)
    student, teacher = maps(1, 6, 3, 4)
    constant = dense_contrast(student, teacher, distance=distance, impl="fused", **CUT)
    student.requires_grad_()
    with torch.no_grad():
        value = dense_contrast(student, teacher, distance=distance, impl="fused", **CUT)
    differentiable = dense_contrast(student, teacher, distance=distance, impl="fused", **CUT)
    assert asked == [False, False, True]
    assert not constant.requires_grad
    assert not value.requires_grad
    assert differentiable.requires_grad
    torch.testing.assert_close(constant, differentiable.detach(), rtol=1e-14, atol=0)
    torch.testing.assert_close(value, differentiable.detach(), rtol=1e-14, atol=0)


@pytest.mark.parametrize("impl", ["auto", "fused", "reference"])
def test_each_implementation_is_the_one_asked_for(impl, monkeypatch):
    monkeypatch.setattr(api, "dense_contrast_fused", lambda *args, **options: "fused")
    monkeypatch.setattr(api, "dense_contrast_reference", lambda *args, **options: "reference")
    expected = "reference" if impl == "reference" else "fused"
    assert dense_contrast(*maps(1, 6, 3, 4), impl=impl, **CUT) == expected


compiler = pytest.mark.skipif(shutil.which(os.environ.get("CXX", "c++")) is None, reason="no C++ compiler is found")


@pytest.mark.filterwarnings("default")  # of torch's compiler
@pytest.mark.parametrize(
    ("impl", "width", "backend"),
    [
        ("fused", 8, "aot_eager"),
        ("reference", 8, "aot_eager"),
        ("auto", 8, "aot_eager"),
        ("fused", 128, "aot_eager"),
        pytest.param("fused", 8, "inductor", marks=compiler),
    ],
)
def test_a_training_step_compiles_as_one_graph(impl, width, backend):
    torch.manual_seed(0)
    student = nn.Conv2d(3, 4, 3, padding=1)
    loss = AfDCDLoss(
        4, width, groups=2, patch_size=(2, 2), pool_size=2, temperature=width / 8, reduction="mean", impl=impl
    )
    parameters = [*student.parameters(), *loss.parameters()]
    images, teacher = torch.randn(1, 3, 8, 9), torch.randn(1, width, 8, 9)
    keep = (torch.rand(1, 1, 8, 9) < 0.5).float()

    def step(images, teacher, keep):
        terms = loss(student(images), teacher, keep=keep)
        return terms.mimic + terms.contrast

    results = []
    for run in (step, torch.compile(step, backend=backend, fullgraph=True)):
        value = run(images, teacher, keep)
        results.append((value.detach(), *torch.autograd.grad(value, parameters)))
    torch.testing.assert_close(results[1], results[0], rtol=1e-4, atol=1e-5)


class NoCompiler:
    """Triton on a machine where it cannot build its launcher."""

    MAX_CELLS = 8192

    def __init__(self):
        self.tried = 0

    def contrast_triton(self, *args):
        self.tried += 1
        raise RuntimeError("Failed to find C compiler.\nPlease specify via CC.")


@pytest.fixture
def no_compiler(monkeypatch):
    kernels = NoCompiler()
    monkeypatch.setattr(fused, "kernels", kernels)
    monkeypatch.setattr(launch, "interpreted", lambda: True)
    monkeypatch.setattr(launch, "_tried", {})
    warn_slow.cache_clear()
    yield kernels
    warn_slow.cache_clear()


def test_a_kernel_that_cannot_be_launched_gives_way_with_one_warning(no_compiler, caplog):
    student, teacher = maps(1, 6, 4, 5)
    expected = dense_contrast(student, teacher, impl="reference", **CUT)
    assert no_compiler.tried == 0  # nobody asked for it
    with caplog.at_level("WARNING"):
        values = [dense_contrast(student, teacher, **CUT) for _ in range(3)]
    assert values == [expected] * 3
    assert no_compiler.tried == 1
    (said,) = caplog.messages
    assert "Triton cannot launch a kernel (RuntimeError: Failed to find C compiler). Triton needs a C compiler" in said


def test_who_asks_for_a_kernel_that_cannot_be_launched_gets_the_reason(no_compiler, caplog):
    student, teacher = maps(1, 6, 4, 5)
    with pytest.raises(RuntimeError, match=r"got 'fused', but .* cannot run: Triton cannot launch a kernel"):
        dense_contrast(student, teacher, impl="fused", **CUT)
    assert caplog.messages == []


def test_the_tiny_launch_is_one_that_the_kernel_takes(monkeypatch):
    """Its arguments and shapes are those of a real call."""
    seen = []

    class Kernels(NoCompiler):
        def contrast_triton(self, student, teacher, temperature, distance, groups, with_grad):
            seen.append((student.shape, teacher.shape, student.dtype))
            return fused.contrast_chunked(student, teacher, temperature, distance, groups, with_grad)

    monkeypatch.setattr(fused, "kernels", Kernels())
    monkeypatch.setattr(launch, "interpreted", lambda: True)
    monkeypatch.setattr(launch, "_tried", {})
    student, _ = maps(1, 6, 4, 5)
    assert fused.why_not_launched(student.bfloat16()) is None
    assert seen == [((1, 2, 8), (1, 2, 8), torch.bfloat16)]
    assert fused.why_not_launched(student) is None
    assert len(seen) == 1
