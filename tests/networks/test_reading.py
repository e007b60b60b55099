import types

import pytest
import torch

from segdistill.networks.reading import find_logits
from segdistill.types import SegOutput
from segdistill.util import NetworkError


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: x,
        lambda x: {"out": x, "aux": 2 * x},
        lambda x: {"logits": x},
        lambda x: types.SimpleNamespace(logits=x),
        lambda x: (x, "more"),
        lambda x: SegOutput(x),
    ],
)
def test_find_logits_understands_common_outputs(wrap):
    logits = torch.randn(2, 5, 4, 4)
    assert find_logits(wrap(logits)) is logits


@pytest.mark.parametrize("output", [torch.zeros(2, 5), {"masks": torch.zeros(1)}, "text", []])
def test_find_logits_refuses_other_outputs_and_says_what_to_give(output):
    with pytest.raises(NetworkError, match="Give `logits=`"):
        find_logits(output)
