import pytest
import torch
from torch.nn import functional as F

from segdistill.losses.common.generator import draw_keep
from segdistill.ops.masked_generator import api
from segdistill.ops.masked_generator.api import conv3x3, masked_conv

torch.set_num_threads(1)

FLOAT32, FLOAT64, BFLOAT16 = torch.float32, torch.float64, torch.bfloat16


def case(student, channels, size, dtype, batch=1):
    """Map of the student in its dtype, parameters in float32 or more, as a loss has them."""
    generator = torch.Generator().manual_seed(0)
    shapes = [
        (batch, student, size, size),
        (channels, student, 1, 1),
        (channels,),
        (channels, channels, 3, 3),
        (channels,),
    ]
    x, *parameters = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes)
    parameters = [p / p[0].numel() ** 0.5 for p in parameters]
    return x.to(dtype), [p.to(torch.promote_types(dtype, FLOAT32)) for p in parameters]


def mask(name, x, ratio=0.75):
    """A mask that hides exactly ``ratio`` at random, or the centre, or nothing."""
    if name != "random":
        return draw_keep(name, 0.0, x)
    keep = torch.ones(x.shape[0], 1, *x.shape[2:])
    hidden = torch.randperm(keep.numel(), generator=torch.Generator().manual_seed(1))[: round(ratio * keep.numel())]
    keep.view(-1)[hidden] = 0
    return keep.to(x.dtype)


@pytest.fixture
def taken(monkeypatch):
    """The forms that were computed, in order."""
    names = []

    def spy(name, option):
        form = getattr(api, name)

        def compute(*args, **options):
            names.append(name if option is None else (name, options[option]))
            return form(*args, **options)

        monkeypatch.setattr(api, name, compute)

    for name, option in (("visible_conv", "fold"), ("folded_conv", "winograd"), ("winograd_conv3x3", None)):
        spy(name, option)
    return names


# With 64 channels projected to 128, composing costs 64 * 128 times 9 * 128 multiplications and saves, at each position,
# 64 / 9 + 128 - 64 times as many in a direct sum and 64 / 9 + (128 - 64) * 4 / 9 in Winograd's: it pays from 116 and
# from 231 positions. Of visible positions alone it pays from 173, as composing counts half as much again.
CHOICES = [
    ("none", 15, FLOAT32, ["winograd_conv3x3"]),  # 225 positions
    ("none", 16, FLOAT32, [("folded_conv", True)]),  # 256
    ("centre", 18, FLOAT32, [("folded_conv", True)]),  # a ninth is hidden, which is too little
    ("random", 15, FLOAT32, [("visible_conv", False)]),  # 56 of 225
    ("random", 15, FLOAT64, [("visible_conv", False)]),
    ("random", 26, FLOAT32, [("visible_conv", False)]),  # 169 of 676
    ("random", 27, FLOAT32, [("visible_conv", True)]),  # 182 of 729
    ("none", 10, BFLOAT16, []),
    ("none", 11, BFLOAT16, [("folded_conv", False)]),  # 121
    ("random", 20, BFLOAT16, [("folded_conv", False)]),
]


@pytest.mark.parametrize(("name", "size", "dtype", "expected"), CHOICES)
def test_the_form_that_multiplies_least_is_taken(name, size, dtype, expected, taken):
    x, parameters = case(64, 128, size, dtype)
    keep = mask(name, x)
    y = masked_conv(x, keep, *parameters)
    assert taken == expected
    assert y.dtype == dtype
    # Its rounding is that of what is written, in the same precision.
    plain = masked_conv(x, keep, *parameters, impl="reference")
    assert taken == expected
    exact = masked_conv(x.double(), keep.double(), *(p.double() for p in parameters), impl="reference")
    error, usual = ((result.double() - exact).square().mean().sqrt() for result in (y, plain))
    assert error <= 2 * usual + 4 * torch.finfo(torch.float64).eps * exact.abs().max()


@pytest.mark.parametrize(("ratio", "form"), [(0.54, "folded_conv"), (0.58, "visible_conv")])
def test_hidden_positions_are_left_out_where_fewer_than_winograd_would_multiply(ratio, form, taken):
    x, parameters = case(8, 128, 10, FLOAT32, batch=2)
    masked_conv(x, mask("random", x, ratio), *parameters)
    assert [name for name, _ in taken] == [form]


def test_a_wide_student_is_projected_as_written(taken):
    x, parameters = case(256, 128, 20, FLOAT32)
    masked_conv(x, mask("none", x), *parameters)
    masked_conv(x, mask("random", x), *parameters)
    assert taken == ["winograd_conv3x3", ("visible_conv", False)]


def test_narrow_maps_are_left_to_torch(taken):
    x, parameters = case(64, 120, 12, FLOAT32)
    masked_conv(x, mask("random", x), *parameters)
    conv3x3(x, torch.randn(200, 64, 3, 3), torch.randn(200))
    assert taken == [("folded_conv", False)]


def test_fused_never_makes_the_projected_map(taken, monkeypatch):
    monkeypatch.setattr(api, "masked_projection", None)
    for student, size, dtype in ((64, 4, FLOAT32), (256, 20, FLOAT32), (64, 4, BFLOAT16)):
        x, parameters = case(student, 128, size, dtype)
        masked_conv(x, mask("none", x), *parameters, impl="fused")
    x, parameters = case(64, 120, 4, FLOAT32)
    masked_conv(x, mask("random", x), *parameters, impl="fused")
    assert taken == [("folded_conv", winograd) for winograd in (True, True, False, False)]


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64])
def test_a_mask_that_hides_everything_leaves_the_bias(dtype):
    x, parameters = case(64, 128, 4, dtype)
    tensors = [p.requires_grad_() for p in (x, *parameters)]
    y = masked_conv(x, torch.zeros_like(x[:, :1]), *parameters)
    torch.testing.assert_close(y, parameters[3][:, None, None].expand_as(y))
    *gradients, of_bias = torch.autograd.grad(y.sum(), tensors)
    assert all(gradient.abs().max() == 0 for gradient in gradients)
    assert (of_bias == 16).all()


@pytest.mark.parametrize("name", ["random", "centre", "none"])
@pytest.mark.parametrize("size", [4, 20])
@pytest.mark.parametrize("student", [8, 128])
def test_equals_the_reference_in_value_and_every_gradient(name, size, student):
    x, parameters = case(student, 128, size, FLOAT64)
    keep = mask(name, x)
    slope = torch.randn(1, 128, size, size, dtype=FLOAT64)
    results = []
    for impl in ("reference", "auto", "fused"):
        tensors = [p.clone().requires_grad_() for p in (x, *parameters)]
        y = masked_conv(tensors[0], keep, *tensors[1:], impl=impl)
        results.append((y.detach(), *torch.autograd.grad(y, tensors, slope)))
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize(
    ("inputs", "outputs", "dtype", "impl", "winograd"),
    [
        (128, 128, FLOAT32, "auto", True),
        (128, 130, FLOAT64, "fused", True),
        (2, 3, FLOAT32, "fused", True),
        (127, 128, FLOAT32, "auto", False),
        (128, 127, FLOAT32, "auto", False),
        (128, 128, BFLOAT16, "auto", False),
        (128, 128, FLOAT32, "reference", False),
    ],
)
def test_wide_convolutions_of_a_cpu_go_through_winograd(inputs, outputs, dtype, impl, winograd, taken):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, inputs, 5, 4, generator=generator).to(dtype)
    weight, bias = torch.randn(outputs, inputs, 3, 3, generator=generator), torch.randn(outputs, generator=generator)
    y = conv3x3(x, weight, bias, impl=impl)
    assert taken == winograd * ["winograd_conv3x3"]
    assert y.dtype == dtype
    expected = F.conv2d(x.double(), weight.double(), bias.double(), padding=1)  # about 34 a number
    torch.testing.assert_close(y.double(), expected, rtol=0, atol=min(3000 * torch.finfo(dtype).eps, 2))


def test_low_precision_is_refused_by_winograd():
    x, weight = torch.rand(1, 4, 5, 5, dtype=BFLOAT16), torch.rand(4, 4, 3, 3)
    with pytest.raises(RuntimeError, match=r"the fused 3x3 convolution cannot run: .* lose digits in torch\.bfloat16"):
        conv3x3(x, weight, torch.rand(4), impl="fused")
