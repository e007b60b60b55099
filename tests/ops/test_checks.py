import math
import re

import numpy as np
import pytest
import torch

from segdistill.ops import checks


def test_good_values_pass():
    checks.check_choice("x", "a", ["a", "b"])
    checks.check_count("x", np.int64(3))
    checks.check_positive("x", np.float32(0.5))
    checks.check_ratio("x", 0)
    assert checks.check_size("x", [2, np.int64(3)]) == (2, 3)
    checks.check_map("x", torch.rand(1, 2, 3, 4), channels=2)
    checks.check_together(torch.rand(1, 2, 3, 4), torch.rand(1, 5, 6, 7))


@pytest.mark.parametrize(
    ("check", "value", "sentence"),
    [
        (checks.check_count, True, "`x` must be an integer of at least 1; got True."),
        (checks.check_count, None, "`x` must be an integer of at least 1; got None."),
        (checks.check_positive, True, "`x` must be a finite number above 0; got True."),
        (checks.check_positive, "1", "`x` must be a finite number above 0; got '1'."),
        (checks.check_ratio, -0.1, "`x` must be a share in [0, 1); got -0.1."),
        (checks.check_ratio, math.nan, "`x` must be a share in [0, 1); got nan."),
        (checks.check_size, "44", "`x` must be a pair (height, width); got '44'."),
        (checks.check_map, torch.rand(2, 3), "got torch.float32 of shape (2, 3)."),
    ],
)
def test_bad_values_are_named(check, value, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        check("x", value)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match=r"one of 'left', 'right'; got 'rigth'\.$"):
        checks.check_choice("side", "rigth", ["left", "right"])
    with pytest.raises(ValueError, match=r"got 7\.$"):
        checks.check_choice("side", 7, ["left", "right"])
