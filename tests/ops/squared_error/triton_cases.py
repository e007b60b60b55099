"""The Triton kernel against the reference. `test_triton.py` runs this file in a process of its own."""

import itertools

import pytest
import torch
from tests.ops.in_triton import nan_instead_of_whatever_was_there

from segdistill.ops import squared_error
from segdistill.ops.launch import interpreted
from segdistill.ops.precision import working_dtype
from segdistill.ops.squared_error import fused
from segdistill.ops.squared_error.fused import kernels, scaled, squared_error_and_differences
from segdistill.ops.squared_error.reference import squared_error_reference

DEVICE = "cpu" if interpreted() else "cuda"
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
SHAPES = [(1, 1, 1, 1), (2, 3, 5, 7), (1, 16, 16, 16), (3, 5, 17, 33), (4097,)]  # a block begun, full, exceeded
LAYOUTS = {
    "contiguous": lambda x: x.contiguous(),
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.mT.contiguous().mT,
    "with gaps": lambda x: x.repeat_interleave(2, -1)[..., ::2],
    "repeated": lambda x: x[:1].expand_as(x),
}


def maps(shape, dtypes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    return [x.to(dtype).to(DEVICE) for x, dtype in zip(made, dtypes, strict=True)]


def results(compute, x, target, slope=-0.7):
    leaf = x.detach().requires_grad_()
    value = compute(leaf, target)
    (slope * value).backward()
    return value.detach(), leaf.grad


@pytest.fixture(autouse=True)
def nan_everywhere(monkeypatch):
    for home, name in ((torch, "empty"), (torch, "empty_like"), (torch.Tensor, "new_empty")):
        monkeypatch.setattr(home, name, nan_instead_of_whatever_was_there(getattr(home, name)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtypes", [*zip(DTYPES, DTYPES, strict=True), (torch.bfloat16, torch.float32)])
def test_equals_the_reference_and_writes_every_element(shape, dtypes):
    x, target = maps(shape, dtypes)
    value, gradient = results(squared_error, x, target)
    exact, slopes = results(squared_error_reference, x.double(), target.double())
    assert value.dtype == working_dtype(x, target)
    assert gradient.dtype == x.dtype
    eps = torch.finfo(value.dtype).eps
    assert (value.double() - exact).abs() <= 20 * eps * exact
    # The difference is rounded to the map's dtype, and its product with the slope once more.
    torch.testing.assert_close(gradient.double(), slopes, rtol=2 * torch.finfo(x.dtype).eps, atol=1e-6 * eps)


@pytest.mark.parametrize(("first", "second"), list(itertools.product(LAYOUTS, LAYOUTS)))
def test_memory_layout_does_not_matter_and_the_gradient_has_that_of_the_map(first, second):
    x, target = maps((2, 3, 5, 7), (torch.float32, torch.float32))
    a, b = LAYOUTS[first](x), LAYOUTS[second](target)
    torch.testing.assert_close(
        results(squared_error, a, b), results(squared_error_reference, a, b), rtol=1e-6, atol=1e-6
    )
    if first in ("contiguous", "channels last", "transposed"):
        assert results(squared_error, a, b)[1].stride() == a.stride()


@pytest.mark.parametrize("layout", ["contiguous", "channels last", "transposed"])
def test_maps_of_one_dense_layout_are_read_where_they_lie(layout, monkeypatch):
    read = []

    class Kernel:
        def __getitem__(self, grid):
            return lambda x, target, *args, **options: read.extend([x.data_ptr(), target.data_ptr()])

    monkeypatch.setattr(kernels, "_squared_error_kernel", Kernel())
    a, b = (LAYOUTS[layout](x) for x in maps((2, 3, 5, 7), (torch.bfloat16, torch.float32)))
    kernels.squared_error_triton(a, b, False)
    assert read == [a.data_ptr(), b.data_ptr()]


def test_the_op_runs_the_kernel_and_keeps_no_difference_that_nobody_wants(monkeypatch):
    asked, kernel = [], kernels.squared_error_triton
    x, target = maps((2, 3, 5, 7), (torch.float32, torch.float32))
    squared_error(x, target)  # the tiny launch, once a process
    monkeypatch.setattr(kernels, "squared_error_triton", lambda *args: asked.append(args[2]) or kernel(*args))
    squared_error(x, target)
    squared_error(x.requires_grad_(), target)
    with torch.no_grad():
        squared_error(x, target)
    assert asked == [False, True, False]
    _, nothing = kernel(x, target, False)
    assert nothing.shape == (0,)


def test_the_slope_is_not_rounded_to_the_dtype_of_the_map():
    # In fp16, as the interpreter does not round to bf16 but cuts off.
    x, target = maps((1, 64, 8, 8), (torch.float16, torch.float16))
    slope = 1.3706  # fp16 has 1.3701 and 1.3711
    _, gradient = results(squared_error, x, target, slope)
    _, exact = results(squared_error_reference, x.double(), target.double(), slope)
    bias = (gradient.double() * exact).sum() / (exact * exact).sum() - 1
    assert bias.abs() < 1e-4  # where a rounded slope would leave 3.6e-4


def test_equal_maps_have_no_error_and_no_gradient():
    x, _ = maps((2, 3, 5, 7), (torch.float16, torch.float16))
    value, gradient = results(squared_error, x, x.clone())
    assert value == 0
    assert gradient.abs().max() == 0


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of the interpreter
@pytest.mark.parametrize("which", [0, 1])
def test_a_nan_reaches_the_error_and_its_own_gradient_alone(which):
    pair = maps((2, 3, 5, 7), (torch.bfloat16, torch.bfloat16))
    pair[which][1, 2, 3, 4] = torch.nan
    value, gradient = results(squared_error, *pair)
    assert value.isnan()
    assert gradient.isnan().nonzero().tolist() == [[1, 2, 3, 4]]


def test_the_backward_pass_may_be_repeated():
    x, target = maps((2, 3, 5, 7), (torch.float32, torch.float32))
    value = squared_error(x.requires_grad_(), target)
    first = torch.autograd.grad(value, x, retain_graph=True)[0].clone()
    assert torch.equal(torch.autograd.grad(value, x)[0], first)


def test_the_same_input_gives_the_same_bits():
    x, target = maps((3, 5, 17, 33), (torch.float32, torch.float32))
    assert squared_error(x, target) == squared_error(x, target)


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # of torch's own check
def test_opcheck(monkeypatch):
    monkeypatch.undo()  # it compares buffers that nobody reads
    x, target = maps((2, 3, 4, 5), (torch.float32, torch.float32))
    torch.library.opcheck(squared_error_and_differences, (x.clone().requires_grad_(), target, True))
    torch.library.opcheck(squared_error_and_differences, (x, target, False))
    torch.library.opcheck(scaled, (x, target.sum()))


def test_image_by_image_is_what_the_kernel_is_compared_with_too():
    x, target = maps((2, 3, 5, 7), (torch.float64, torch.float64))
    torch.testing.assert_close(results(squared_error, x, target), results(fused.squared_error_by_image, x, target))


def test_compiles_as_one_graph(monkeypatch):
    monkeypatch.undo()
    x, target = maps((2, 3, 4, 5), (torch.float32, torch.float32))
    compiled = torch.compile(lambda a, b: squared_error(3 * a, b), backend="aot_eager", fullgraph=True)
    expected = results(lambda a, b: squared_error_reference(3 * a, b), x, target)
    torch.testing.assert_close(results(compiled, x, target), expected)
