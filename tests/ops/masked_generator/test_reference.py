import torch
from tests.ops.masked_generator.forms import KEEPS, case
from torch.nn import functional as F

from segdistill.ops.masked_generator.reference import masked_conv_reference


def test_the_reference_is_what_is_written_in_the_dtype_of_the_map():
    x, drawn, (align_weight, align_bias, weight, bias), _ = case(2, 3, 5, 4, 5, 6)
    keep = KEEPS["some"](drawn)
    expected = F.conv2d(keep * F.conv2d(x, align_weight, align_bias), weight, bias, padding=1)
    assert torch.equal(masked_conv_reference(x, keep, align_weight, align_bias, weight, bias), expected)
    low = masked_conv_reference(x.bfloat16(), keep.bfloat16(), align_weight, align_bias, weight, bias)
    assert low.dtype == torch.bfloat16
