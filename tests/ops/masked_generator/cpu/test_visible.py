import functools

import pytest
import torch
from benchmarks.harness import extra_peak
from tests.ops.masked_generator.forms import KEEPS, SIZES, case, check_gradient, check_layouts, check_values, run

from segdistill.ops.masked_generator.cpu import visible
from segdistill.ops.masked_generator.cpu.visible import visible_conv
from segdistill.ops.masked_generator.reference import masked_conv_reference

torch.set_num_threads(1)

FORMS = {name: functools.partial(visible_conv, fold=name == "folded") for name in ("projected", "folded")}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("size", SIZES)
def test_equals_projection_mask_and_convolution_in_value_and_every_gradient(form, keep, size):
    check_values(FORMS[form], keep, size)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("outputs", [1, 3])
def test_a_kernel_in_parts_is_the_same(form, outputs, monkeypatch):
    monkeypatch.setattr(visible, "OUTPUTS", outputs)
    check_values(FORMS[form], "fractions", SIZES[0])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layout", [lambda x: x.to(memory_format=torch.channels_last), lambda x: x.mT.contiguous().mT])
def test_layout_of_the_kernel_does_not_matter(form, layout):
    x, keep, parameters, slope = case(*SIZES[0])
    parameters[2] = layout(parameters[2])
    results, expected = (run(f, x, keep, parameters, slope) for f in (FORMS[form], masked_conv_reference))
    torch.testing.assert_close(results, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wanted", range(5))
def test_any_gradient_can_be_wanted_alone(form, wanted):
    x, keep, parameters, slope = case(*SIZES[0])
    tensors = [x, *parameters]
    tensors[wanted].requires_grad_()
    gradients = [
        torch.autograd.grad(convolve(tensors[0], keep, *tensors[1:]), tensors[wanted], slope)[0]
        for convolve in (FORMS[form], masked_conv_reference)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-11)


def wide(batch):
    """(x, keep, parameters, slope) of 128 channels, a quarter of the positions visible."""
    x, keep, parameters, slope = case(batch, 32, 128, 128, 32, 32)
    slope = slope.float().contiguous(memory_format=torch.channels_last)
    return x.float().requires_grad_(), (keep < 0.25).float(), [p.float().requires_grad_() for p in parameters], slope


def test_no_composed_kernel_is_kept():
    x, keep, parameters, _ = wide(1)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor), lambda _: None):
        FORMS["folded"](x, keep, *parameters)
    known = {p.data_ptr() for p in parameters}
    most = max(tensor.untyped_storage().nbytes() // 4 for tensor in kept if tensor.data_ptr() not in known)
    assert most == keep.count_nonzero() * 33  # the visible positions' numbers; the kernel would be 9 * 128 * 33


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("batch", [1, 4])
def test_memory_is_half_of_what_a_plain_convolution_takes(form, batch, monkeypatch):
    monkeypatch.setattr(visible, "OUTPUTS", 8)
    x, keep, parameters, slope = wide(batch)
    ours, plain = (
        extra_peak(lambda c=c: (c(x, keep, *parameters) * slope).sum(), [x, *parameters], torch.device("cpu"))
        for c in (FORMS[form], masked_conv_reference)
    )
    assert ours <= 0.5 * plain


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("keep", ["some", "none"])
def test_float32_and_memory_layout(form, keep):
    check_layouts(FORMS[form], keep)


@pytest.mark.parametrize("form", FORMS)
def test_gradcheck(form):
    check_gradient(FORMS[form])
