import functools

import pytest
import torch
from tests.ops.masked_generator.forms import KEEPS, SIZES, case, check_gradient, check_layouts, check_values
from torch.utils._python_dispatch import TorchDispatchMode

from segdistill.ops.masked_generator import api
from segdistill.ops.masked_generator.folded import ALIGNED, folded_conv, folded_conv_in_one
from segdistill.ops.masked_generator.reference import masked_conv_reference

torch.set_num_threads(1)

FORMS = {
    **{name: functools.partial(folded_conv, winograd=name == "Winograd") for name in ("direct", "Winograd")},
    "in one": folded_conv_in_one,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("size", SIZES)
def test_equals_projection_mask_and_convolution_in_value_and_every_gradient(form, keep, size):
    check_values(FORMS[form], keep, size)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("keep", ["some", "none"])
def test_float32_and_memory_layout(form, keep):
    check_layouts(FORMS[form], keep)


@pytest.mark.parametrize("form", FORMS)
def test_gradcheck(form):
    check_gradient(FORMS[form])


class Convolutions(TorchDispatchMode):
    """Keeps the shapes of the kernels of all convolutions, and whether their maps are channels-last."""

    def __init__(self):
        super().__init__()
        self.kernels, self.channels_last = [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ == "convolution":
            self.kernels.append(tuple(args[1].shape))
            self.channels_last.append(args[0].is_contiguous(memory_format=torch.channels_last))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("student", [2, 7, 8, 12, 16])
def test_in_one_the_mask_is_a_channel_and_their_number_suits_tensor_cores(student):
    x, keep, parameters, _ = case(2, student, 5, 4, 5, 6)
    x = x.contiguous(memory_format=torch.channels_last)
    with Convolutions() as seen:
        folded_conv_in_one(x, keep, *parameters)
    _, _, (outputs, channels, *_) = seen.kernels
    assert outputs == 4
    assert channels % ALIGNED == 0
    assert student < channels <= student + ALIGNED
    assert seen.channels_last[-1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_one_low_precision_is_as_near_as_what_is_written(dtype):
    x, keep, parameters, _ = case(2, 16, 12, 9, 8, 7)
    kept = (keep < 0.3).double()
    exact = masked_conv_reference(x, kept, *parameters)
    errors = [
        (form(x.to(dtype), kept.to(dtype), *parameters).double() - exact).square().mean()
        for form in (folded_conv_in_one, masked_conv_reference)
    ]
    assert errors[0] <= 2 * errors[1]


@pytest.mark.parametrize(("device", "expected"), [("cpu", "folded_conv"), ("meta", "folded_conv_in_one")])
def test_a_cpu_keeps_the_mask_apart_and_other_devices_have_it_as_a_channel(device, expected, monkeypatch):
    taken = []
    for name in ("folded_conv", "folded_conv_in_one"):
        form = getattr(api, name)
        monkeypatch.setattr(
            api, name, lambda *args, name=name, form=form, **options: taken.append(name) or form(*args, **options)
        )
    x, keep, parameters, _ = case(2, 16, 128, 130, 8, 7)
    api.masked_conv(*(p.to(device) for p in (x, torch.ones_like(keep), *parameters)), impl="fused")
    assert taken == [expected]
