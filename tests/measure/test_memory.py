import pytest
import torch
from torch import nn

from segdistill.measure.memory import gauge

KIB = 1024
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.fixture(params=DEVICES)
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return torch.device(request.param)


def test_peak_live_and_reset(device):
    with gauge(device) as memory:
        memory.reset()
        before = memory.live()
        kept = torch.zeros(256 * KIB, dtype=torch.uint8, device=device)
        gone = torch.zeros(512 * KIB, dtype=torch.uint8, device=device)
        assert memory.live() - before == 768 * KIB
        del gone
        assert memory.live() - before == 256 * KIB
        assert memory.peak() - before == 768 * KIB
        memory.reset()
        assert memory.peak() - before == 256 * KIB
        del kept
        assert memory.live() == before


def test_views_work_in_place_and_what_was_there_before_cost_nothing(device):
    weight = nn.Parameter(torch.ones(64 * KIB, device=device))
    with gauge(device) as memory:
        before = memory.live()
        with torch.no_grad():
            weight.mul_(2)
            views = [weight.view(256, 256), weight.detach(), weight[::2]]
        assert memory.live() == before
        assert len(views) == 3


def test_what_is_kept_for_the_backward_pass_counts_until_it_is_done(device):
    weight = torch.ones(64 * KIB, device=device, requires_grad=True)  # 256 KiB
    with gauge(device) as memory:
        before = memory.live()
        loss = (weight.exp() * 2).sum()  # exp keeps its result
        kept = memory.live() - before
        assert 256 * KIB <= kept < 258 * KIB
        loss.backward()
        del loss
        assert memory.live() - before == 256 * KIB  # the gradient
        weight.grad = None
        assert memory.live() == before
