import json
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.reference import PublishedAfDCD

from benchmarks import parity

GOLDEN = Path(__file__).parents[1] / "golden/af_dcd"


@pytest.mark.parametrize("name", ["plain", "no_pool", "equal_groups_wide"])
def test_the_reference_gives_the_numbers_of_the_authors_code(name):
    with np.load(GOLDEN / f"{name}.npz") as stored:
        meta = json.loads(str(stored["meta"]))
        golden = {key: torch.from_numpy(stored[key]) for key in stored.files if key != "meta"}
    options = {key: meta[key] for key in ("groups", "temperature") if key in meta}
    if "patch_size" in meta:
        options["patch_size"] = tuple(meta["patch_size"])
    loss = PublishedAfDCD(
        meta["student_channels"], meta["teacher_channels"], pool_size=meta.get("pool_size", 4) or 1, **options
    ).double()
    loss.load_state_dict({key: golden[key] for key in loss.state_dict()})
    mimic, contrast = loss(golden["student"], golden["teacher"], keep=golden["keep"])
    torch.testing.assert_close((mimic, contrast), (golden["mimic"], golden["contrast"]), rtol=1e-10, atol=0)


def test_both_ways_agree():
    torch.set_num_threads(1)
    worst = parity.parity(torch.device("cpu"))
    assert worst["contrast"] < 1e-12
    assert worst["loss"] < 1e-10


@pytest.mark.parametrize("name", ["dense_contrast", "published_contrast"])
def test_a_wrong_number_stops_everything(name, monkeypatch):
    right = getattr(parity, name)
    monkeypatch.setattr(parity, name, lambda *args, **options: 1.000001 * right(*args, **options))
    with pytest.raises(AssertionError, match="contrast"):
        parity.parity(torch.device("cpu"))


def test_the_published_loss_needs_no_mask_from_outside():
    torch.manual_seed(0)
    mimic, contrast = PublishedAfDCD(4, 16, pool_size=1)(torch.randn(1, 4, 8, 8), torch.randn(1, 16, 8, 8))
    assert mimic > 0
    assert contrast > 0


def test_tf32_is_off_while_numbers_are_compared_and_as_before_afterwards(monkeypatch):
    switches = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [switch.allow_tf32 for switch in switches]

    def fail(*args, **options):
        assert [switch.allow_tf32 for switch in switches] == [False, False]
        raise ArithmeticError

    monkeypatch.setattr(parity, "published_contrast", fail)
    with pytest.raises(ArithmeticError):
        parity.parity(torch.device("cpu"))
    assert [switch.allow_tf32 for switch in switches] == before
    assert any(before)  # torch's default: convolutions have it
