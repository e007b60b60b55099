import pytest
import torch
from benchmarks.harness import extra_peak
from tests.ops.largest import Largest
from torch.nn import functional as F

from segdistill.ops.masked_generator.cpu import winograd
from segdistill.ops.masked_generator.cpu.winograd import winograd_conv3x3

torch.set_num_threads(1)


def direct(x, weight, bias):
    return F.conv2d(x, weight, bias, padding=1)


def case(batch, inputs, outputs, height, width, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    shapes = [(batch, inputs, height, width), (outputs, inputs, 3, 3), (outputs,), (batch, outputs, height, width)]
    return [torch.randn(*shape, generator=generator, dtype=dtype) for shape in shapes]


def run(convolve, x, weight, bias, slope):
    """Return the value and the gradients of all three."""
    tensors = [x, weight, bias]
    for tensor in tensors:
        tensor.requires_grad_()
    y = convolve(x, weight, bias)
    return y.detach(), *torch.autograd.grad(y, tensors, slope)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (1, 7), (6, 1), (2, 2), (3, 3), (4, 6), (5, 6), (6, 5), (9, 7)])
@pytest.mark.parametrize("batch", [1, 3])
def test_equals_the_direct_sum_in_value_and_every_gradient(size, batch):
    tensors = case(batch, 3, 5, *size)
    torch.testing.assert_close(run(winograd_conv3x3, *tensors), run(direct, *tensors), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("block", [1, 8, 9])
@pytest.mark.parametrize("size", [(1, 1), (9, 7), (10, 8)])
def test_blocks_of_tiles_change_nothing(block, size, monkeypatch):
    tensors = case(2, 3, 5, *size)
    expected = run(direct, *tensors)
    monkeypatch.setattr(winograd, "BLOCK", block)  # one line of tiles, two, and a last one that is smaller
    torch.testing.assert_close(run(winograd_conv3x3, *tensors), expected, rtol=1e-11, atol=1e-12)


def test_gradcheck():
    x, weight, bias, _ = case(1, 2, 2, 3, 4)
    assert torch.autograd.gradcheck(winograd_conv3x3, tuple(p.requires_grad_() for p in (x, weight, bias)))


@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x.contiguous(memory_format=torch.channels_last),
        lambda x: x.mT.contiguous().mT,
        lambda x: torch.cat([x, -x], dim=3)[..., : x.shape[3]],
        lambda x: x[:1].expand_as(x),
    ],
)
def test_memory_layout_does_not_matter(layout):
    x, weight, bias, slope = case(2, 4, 4, 5, 6)
    x, slope = layout(x), layout(slope)
    torch.testing.assert_close(
        run(winograd_conv3x3, x.detach(), weight, bias, slope),
        run(direct, x.detach().clone(), weight, bias, slope),
        rtol=1e-11,
        atol=1e-12,
    )


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_any_gradient_can_be_wanted_alone(wanted):
    *tensors, slope = case(2, 3, 4, 5, 4)
    tensors[wanted].requires_grad_()
    gradients = [
        torch.autograd.grad(convolve(*tensors), tensors[wanted], slope)[0] for convolve in (winograd_conv3x3, direct)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("size", [(8, 8), (13, 11)])
def test_float32_rounds_no_worse_than_three_times_the_direct_sum(size):
    tensors = case(1, 256, 256, *size, dtype=torch.float32)
    exact = run(direct, *(x.double() for x in tensors))
    for ours, theirs, true in zip(run(winograd_conv3x3, *tensors), run(direct, *tensors), exact, strict=True):
        error, usual = ((x.detach().double() - true).square().mean().sqrt() for x in (ours, theirs))
        assert error <= 3 * usual


def test_no_images_have_no_gradient_by_the_kernel():
    tensors = case(0, 3, 4, 5, 6)
    torch.testing.assert_close(run(winograd_conv3x3, *tensors), run(direct, *tensors))


def test_no_map_is_held_in_another_form():
    x, weight, bias, slope = case(2, 4, 4, 20, 22)
    with Largest() as largest:
        run(winograd_conv3x3, x, weight, bias, slope)
    assert largest.elements <= x.numel()


def test_the_map_and_the_kernel_alone_are_kept():
    x, weight, bias, _ = (tensor.requires_grad_() for tensor in case(1, 3, 4, 6, 6))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.data_ptr()), lambda _: None):
        winograd_conv3x3(x, weight, bias)
    assert sorted(kept) == sorted([x.data_ptr(), weight.data_ptr()])


@pytest.mark.parametrize(("batch", "size", "matrices"), [(1, 16, 5), (2, 16, 2), (1, 32, 2), (4, 32, 2)])
def test_memory_is_that_of_the_results_and_as_little_as_is_said(batch, size, matrices, monkeypatch):
    channels, tiles = 128, 32
    monkeypatch.setattr(winograd, "BLOCK", tiles)
    x, weight, bias, slope = case(batch, channels, channels, size, size, dtype=torch.float32)
    x, slope = (p.contiguous(memory_format=torch.channels_last) for p in (x, slope))
    leaves = [p.requires_grad_() for p in (x, weight, bias)]
    peak = extra_peak(lambda: (winograd_conv3x3(x, weight, bias) * slope).sum(), leaves, torch.device("cpu"))
    results = 2 * x.numel() + weight.numel()  # one map is the slope, which the product with `slope` makes
    beside = matrices * channels**2 + 5 * tiles * channels
    assert peak * 2**20 / 4 <= results + beside + 16 * channels
