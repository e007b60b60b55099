import re

import pytest
import torch

from segdistill.ops.squared_error.api import squared_error

torch.set_num_threads(1)

SHAPE = (3, 4, 5, 6)


def maps(dtype=torch.float64):
    return torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


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


@pytest.mark.parametrize("shapes", [((2, 3), (2, 4)), ((2, 3), (2,)), ((0, 3), (0, 3)), ((), ())])
def test_shapes_that_do_not_fit_are_named(shapes):
    x, target = (torch.rand(shape) for shape in shapes)
    with pytest.raises(ValueError, match=re.escape(f"got {shapes[1]} and {shapes[0]}.")):
        squared_error(x, target)
