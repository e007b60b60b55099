import types

import pytest
import torch

from segdistill.networks.reading import as_map, find_logits
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


def test_as_map_lays_tokens_out_row_by_row_and_drops_a_class_token():
    grid = torch.arange(2 * 3 * 4 * 6.0).view(2, 3, 4, 6)
    tokens = grid.flatten(2).transpose(1, 2)
    assert torch.equal(as_map(tokens, (64, 96), "x"), grid)
    with_class = torch.cat([torch.full((2, 1, 3), 9.0), tokens], 1)
    assert torch.equal(as_map(with_class, (64, 96), "x"), grid)
    assert as_map((grid, None), (64, 96), "x") is grid
    with pytest.raises(NetworkError, match="got \\(2, 3\\)"):
        as_map(torch.zeros(2, 3), (64, 96), "layer 'fc'")
