import functools

import pytest
import torch
from tests.ops.masked_generator.forms import KEEPS, SIZES, check_gradient, check_layouts, check_values

from segdistill.ops.masked_generator.folded import folded_conv

torch.set_num_threads(1)

FORMS = {name: functools.partial(folded_conv, winograd=name == "Winograd") for name in ("direct", "Winograd")}


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
