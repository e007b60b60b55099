"""What every form of the masked convolution must do: cases and checks for the tests of each."""

import torch
from torch.nn import functional as F

from segdistill.ops.masked_generator.reference import masked_conv_reference

KEEPS = {
    "some": lambda keep: (keep < 0.3).to(keep.dtype),
    "fractions": lambda keep: torch.where(keep < 0.5, 0.0, 3 * keep - 2),
    "all": torch.ones_like,
    "none": torch.zeros_like,
    "one image's": lambda keep: torch.cat([torch.ones_like(keep[:1]), torch.zeros_like(keep[1:])]),
    "a corner": lambda keep: F.pad(torch.ones_like(keep[..., :1, :1]), (0, keep.shape[3] - 1, 0, keep.shape[2] - 1)),
}


SIZES = [(2, 3, 5, 4, 5, 6), (2, 5, 3, 3, 1, 1), (3, 2, 4, 4, 4, 1), (1, 4, 4, 2, 1, 7)]


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


def check_values(form, keep, size):
    """The value and every gradient, in float64."""
    x, drawn, parameters, slope = case(*size)
    kept = KEEPS[keep](drawn)
    results, expected = (run(f, x, kept, parameters, slope) for f in (form, masked_conv_reference))
    torch.testing.assert_close(results, expected, rtol=1e-11, atol=1e-11)


def check_layouts(form, keep):
    """In float32, however the maps lie in memory."""
    x, drawn, parameters, slope = (
        [p.float() for p in part] if isinstance(part, list) else part.float() for part in case(2, 3, 5, 4, 5, 6)
    )
    kept = KEEPS[keep](drawn)
    expected = run(masked_conv_reference, x, kept, parameters, slope)
    for layout in (
        lambda x: x.contiguous(memory_format=torch.channels_last),
        lambda x: x.mT.contiguous().mT,
        lambda x: x,
    ):
        results = run(form, layout(x), kept, parameters, layout(slope))
        torch.testing.assert_close(results, expected, rtol=1e-4, atol=1e-4)


def check_gradient(form):
    """By differences."""
    x, drawn, parameters, _ = case(1, 2, 2, 2, 3, 2)
    kept = KEEPS["fractions"](drawn)
    assert torch.autograd.gradcheck(
        lambda x, *parameters: form(x, kept, *parameters), tuple(p.requires_grad_() for p in (x, *parameters))
    )
