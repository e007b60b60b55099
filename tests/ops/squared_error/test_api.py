import pytest
import torch
from tests.ops.largest import Largest

from segdistill.ops.squared_error.api import squared_error

torch.set_num_threads(1)

SHAPE = (3, 4, 5, 6)


def maps(dtype=torch.float64):
    return torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def test_equals_the_sum_in_value_and_gradient():
    x, target = maps()
    x.requires_grad_()
    value, expected = squared_error(x, target), (x - target).square().sum()
    torch.testing.assert_close(value, expected)
    (gradient,), (expected_gradient,) = (torch.autograd.grad(-3 * y, x) for y in (value, expected))
    torch.testing.assert_close(gradient, expected_gradient)


def test_gradcheck():
    x, target = maps()
    assert torch.autograd.gradcheck(lambda x: squared_error(x, target), x.requires_grad_())


def test_the_target_is_a_constant():
    x, target = (part.clone().requires_grad_() for part in maps())
    squared_error(x, target).backward()
    assert target.grad is None
    torch.testing.assert_close(x.grad, 2 * (x - target).detach())


@pytest.mark.parametrize(
    ("dtypes", "result"),
    [
        ((torch.bfloat16, torch.float32), torch.float32),
        ((torch.float16, torch.float16), torch.float32),
        ((torch.float32, torch.float64), torch.float64),
    ],
)
def test_is_computed_in_float32_or_more(dtypes, result):
    x, target = (300 * part.to(dtype) for part, dtype in zip(maps(), dtypes, strict=True))
    exact = (x.double() - target.double()).square().sum()
    assert exact > 65504  # float16 could not hold it
    value = squared_error(x.requires_grad_(), target)
    assert value.dtype == result
    torch.testing.assert_close(value.double(), exact, rtol=1e-6, atol=0)
    value.backward()
    assert x.grad.dtype == dtypes[0]
    expected = (2 * (x.detach().to(result) - target.to(result))).to(dtypes[0])
    torch.testing.assert_close(x.grad, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    "layout", [lambda x: x.contiguous(memory_format=torch.channels_last), lambda x: x.mT.contiguous().mT]
)
def test_memory_layout_does_not_matter(layout):
    x, target = maps()
    results = []
    for a, b in ((x, target), (layout(x), target), (layout(x), layout(target))):
        start = a.detach().requires_grad_()
        value = squared_error(start, b)
        value.backward()
        results.append((value.detach(), start.grad))
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=1e-12, atol=0)


def test_no_difference_of_the_whole_batch_is_held():
    x, target = maps(torch.bfloat16)
    with Largest() as largest:
        squared_error(x.requires_grad_(), target).backward()
    assert largest.by_dtype[torch.float32] <= x.numel() // 3
    assert largest.by_dtype[torch.bfloat16] <= x.numel()
