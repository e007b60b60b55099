import collections

import numpy as np
import pytest
import torch

from segdistill.networks.checkpoints import read_checkpoint
from segdistill.util import ArgumentError

STATE = {"weight": torch.ones(2)}


@pytest.mark.parametrize("zipped", [True, False])
def test_numbers_of_numpy_are_read(zipped, tmp_path):
    meta = {"best": np.float64(0.5), "step": np.int64(3), "rate": np.float32(0.25), "done": np.bool_(True)}
    torch.save({"state_dict": STATE, "meta": meta}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    state, beside = read_checkpoint(tmp_path / "a.pth")
    assert torch.equal(state["weight"], STATE["weight"])
    assert beside["meta"] == meta


def test_a_number_of_an_older_numpy_is_read(tmp_path):
    torch.save({"state_dict": {}, "meta": np.float64(0.5)}, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    content = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert read_checkpoint(tmp_path / "a.pth")[1] == {"meta": 0.5}


def test_nothing_else_is_read(tmp_path):
    torch.save({"state_dict": {}, "meta": collections.deque()}, tmp_path / "a.pth")
    with pytest.raises(ArgumentError, match=r"it holds collections\.deque\. Save its state dict alone"):
        read_checkpoint(tmp_path / "a.pth")
