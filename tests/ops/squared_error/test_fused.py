import pytest
import torch
from tests.ops.largest import Largest

from segdistill.ops.squared_error.fused import squared_error_by_image as squared_error

torch.set_num_threads(1)


def maps(dtype=torch.float64):
    return torch.randn(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def test_gradcheck():
    x, target = maps()
    assert torch.autograd.gradcheck(lambda x: squared_error(x, target), x.requires_grad_())


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
