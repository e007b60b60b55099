import pytest
import torch

from segdistill.ops.precision import without_autocast, working_dtype


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        ([torch.float16], torch.float32),
        ([torch.bfloat16, torch.float16], torch.float32),
        ([torch.float32, torch.bfloat16], torch.float32),
        ([torch.float16, torch.float64], torch.float64),
    ],
)
def test_working_dtype_is_at_least_float32(dtypes, expected):
    assert working_dtype(*(torch.zeros(1, dtype=dtype) for dtype in dtypes)) == expected


def test_autocast_is_off_inside_and_back_after():
    x = torch.rand(2, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with without_autocast(x):
            assert (x @ x).dtype == torch.float32
        assert (x @ x).dtype == torch.bfloat16


def test_a_device_without_autocast_is_left_alone():
    with without_autocast(torch.zeros(1, device="meta")):
        pass
