import functools

import pytest
import torch
from torch.nn import functional as F

from segdistill.ops.masked_generator import folded
from segdistill.ops.masked_generator.folded import folded_conv, visible_conv

torch.set_num_threads(1)

FORMS = {
    "folded": functools.partial(folded_conv, winograd=False),
    "folded, Winograd": functools.partial(folded_conv, winograd=True),
    "visible": functools.partial(visible_conv, fold=False),
    "visible, folded": functools.partial(visible_conv, fold=True),
}
KEEPS = {
    "some": lambda keep: (keep < 0.3).to(keep.dtype),
    "fractions": lambda keep: torch.where(keep < 0.5, 0.0, 3 * keep - 2),
    "all": torch.ones_like,
    "none": torch.zeros_like,
    "one image's": lambda keep: torch.cat([torch.ones_like(keep[:1]), torch.zeros_like(keep[1:])]),
    "a corner": lambda keep: F.pad(torch.ones_like(keep[..., :1, :1]), (0, keep.shape[3] - 1, 0, keep.shape[2] - 1)),
}


def plain(x, keep, align_weight, align_bias, weight, bias):
    return F.conv2d(F.conv2d(x, align_weight, align_bias) * keep, weight, bias, padding=1)


def case(batch, student, channels, outputs, height, width):
    generator = torch.Generator().manual_seed(0)
    shapes = [
        (batch, student, height, width),
        (channels, student, 1, 1),
        (channels,),
        (outputs, channels, 3, 3),
        (outputs,),
        (batch, outputs, height, width),
    ]
    x, *parameters, slope = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes)
    keep = torch.rand(batch, 1, height, width, generator=generator, dtype=torch.float64)
    return x, keep, parameters, slope


def run(form, x, keep, parameters, slope):
    tensors = [p.detach().clone().requires_grad_() for p in (x, *parameters)]
    y = form(tensors[0], keep, *tensors[1:])
    return y.detach(), *torch.autograd.grad(y, tensors, slope)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("size", [(2, 3, 5, 4, 5, 6), (2, 5, 3, 3, 1, 1), (3, 2, 4, 4, 4, 1), (1, 4, 4, 2, 1, 7)])
def test_equals_projection_mask_and_convolution_in_value_and_every_gradient(form, keep, size):
    x, drawn, parameters, slope = case(*size)
    kept = KEEPS[keep](drawn)
    results, expected = (run(f, x, kept, parameters, slope) for f in (FORMS[form], plain))
    torch.testing.assert_close(results, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_kernel_composed_in_parts_is_the_same(outputs, monkeypatch):
    x, drawn, parameters, slope = case(2, 3, 5, 4, 5, 6)
    kept = KEEPS["fractions"](drawn)
    monkeypatch.setattr(folded, "OUTPUTS", outputs)
    results, expected = (run(form, x, kept, parameters, slope) for form in (FORMS["visible, folded"], plain))
    torch.testing.assert_close(results, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("keep", ["some", "none"])
def test_float32_and_memory_layout(form, keep):
    x, drawn, parameters, slope = (
        [p.float() for p in part] if isinstance(part, list) else part.float() for part in case(2, 3, 5, 4, 5, 6)
    )
    kept = KEEPS[keep](drawn)
    expected = run(plain, x, kept, parameters, slope)
    for layout in (
        lambda x: x.contiguous(memory_format=torch.channels_last),
        lambda x: x.mT.contiguous().mT,
        lambda x: x,
    ):
        results = run(FORMS[form], layout(x), kept, parameters, layout(slope))
        torch.testing.assert_close(results, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_gradcheck(form):
    x, drawn, parameters, _ = case(1, 2, 2, 2, 3, 2)
    kept = KEEPS["fractions"](drawn)
    assert torch.autograd.gradcheck(
        lambda x, *parameters: FORMS[form](x, kept, *parameters),
        tuple(p.requires_grad_() for p in (x, *parameters)),
    )
