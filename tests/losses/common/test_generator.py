import pytest
import torch
from torch.nn import functional as F

from segdistill.losses.common.generator import (
    GENERATORS,
    EnhancedGenerator,
    PlainGenerator,
    draw_keep,
)
from segdistill.losses.mgd import MGDLoss
from segdistill.ops.masked_generator import api, cost

torch.set_num_threads(1)

WIDTHS = [4, cost.WIDE]  # as torch convolves them, and as we do


def case(generator, channels):
    torch.manual_seed(0)
    return torch.randn(2, channels, 5, 6, dtype=torch.float64), generator(channels).double()


@pytest.mark.parametrize("channels", WIDTHS)
def test_plain_is_two_convolutions(channels):
    x, net = case(PlainGenerator, channels)
    torch.testing.assert_close(net(x), net.conv2(F.relu(net.conv1(x))))


@pytest.mark.parametrize("channels", WIDTHS)
def test_enhanced_is_the_mean_of_two_heads(channels):
    x, net = case(EnhancedGenerator, channels)
    shallow = F.relu(net.conv1(x))
    expected = (net.head1(shallow) + net.head2(F.relu(net.conv2(shallow)))) / 2
    torch.testing.assert_close(net(x), expected)


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("impl", ["auto", "fused", "reference"])
def test_what_follows_the_first_convolution_completes_it(name, impl, monkeypatch):
    x, net = case(GENERATORS[name], 128)
    shallow = F.relu(F.conv2d(x, net.conv1.weight, net.conv1.bias, padding=1))
    calls = []
    convolve = api.winograd_conv3x3
    monkeypatch.setattr(api, "winograd_conv3x3", lambda *args: calls.append(args) or convolve(*args))
    finished = net.finish(shallow, impl)
    assert len(calls) == (0 if impl == "reference" else {"plain": 1, "enhanced": 3}[name])
    torch.testing.assert_close(finished, net(x))


@pytest.mark.parametrize("impl", ["auto", "fused", "reference"])
def test_the_implementation_reaches_every_convolution(impl, monkeypatch):
    calls = []
    for name in ("visible_conv", "winograd_conv3x3"):
        form = getattr(api, name)
        monkeypatch.setattr(
            api, name, lambda *args, name=name, form=form, **options: calls.append(name) or form(*args, **options)
        )
    torch.manual_seed(0)
    module = MGDLoss(8, 128, generator="enhanced", impl=impl)
    module.regenerate(torch.randn(1, 8, 6, 6), torch.randn(1, 128, 6, 6), None)
    assert calls == ([] if impl == "reference" else ["visible_conv", *["winograd_conv3x3"] * 3])


@pytest.mark.parametrize("impl", ["auto", "fused", "reference"])
def test_fused_folds_the_projection_of_narrow_maps_too_and_reference_computes_what_is_written(impl, monkeypatch):
    calls = []
    folded = api.folded_conv
    monkeypatch.setattr(api, "folded_conv", lambda *args, **options: calls.append(args) or folded(*args, **options))
    torch.manual_seed(0)
    module = MGDLoss(8, 6, mask="none", impl=impl)
    generated, teacher = module.regenerate(torch.randn(1, 8, 4, 4), torch.randn(1, 6, 4, 4), None)
    assert len(calls) == (impl == "fused")
    error = module.mimic(generated, teacher, "mean")
    torch.testing.assert_close(error, F.mse_loss(generated, teacher))
    assert ("SquaredError" in error.grad_fn.next_functions[0][0].name()) == (impl != "reference")


@pytest.mark.parametrize("name", GENERATORS)
def test_backward_reaches_every_parameter(name):
    net = GENERATORS[name](4)
    net(torch.randn(1, 4, 5, 6)).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in net.parameters())


def test_random_masks_are_independent_by_image_and_shared_by_channels():
    like = torch.empty(4, 8, 100, 100, dtype=torch.bfloat16)
    keep = draw_keep("random", 0.9, like)
    assert keep.shape == (4, 1, 100, 100)
    assert keep.dtype == like.dtype
    assert set(keep.unique().tolist()) == {0.0, 1.0}
    assert keep.float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert not torch.equal(keep[0], keep[1])
    # Independent positions: a hidden neighbour says nothing, so two visible neighbours are 1 in 100.
    assert (keep[..., 1:] * keep[..., :-1]).float().mean().item() == pytest.approx(0.01, abs=0.004)


def test_ratio_zero_hides_nothing():
    assert draw_keep("random", 0.0, torch.empty(1, 1, 50, 50)).all()
    assert draw_keep("none", 0.75, torch.empty(1, 1, 50, 50)).all()


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [((9, 12), (3, 6), (4, 8)), ((16, 7), (5, 10), (2, 4)), ((1, 2), (0, 0), (0, 1))],
)
def test_centre_hides_the_middle(size, rows, columns):
    expected = torch.ones(2, 1, *size)
    expected[..., rows[0] : rows[1], columns[0] : columns[1]] = 0
    assert torch.equal(draw_keep("centre", 0.75, torch.empty(2, 3, *size)), expected)
