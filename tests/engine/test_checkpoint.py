import os

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from segdistill.engine import checkpoint
from segdistill.engine.optim import make_optimizer
from segdistill.util import CheckpointError, files


def make(name="sgd", width=4):
    network = nn.Sequential(nn.Conv2d(3, width, 1), nn.BatchNorm2d(width), nn.Conv2d(width, 2, 1))
    return network, make_optimizer(network.parameters(), name=name, lr=0.1, momentum=0.9, weight_decay=1e-2)


def step(network, optimizer, seed):
    torch.manual_seed(seed)
    network(torch.rand(2, 3, 4, 4)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def save(path, network, optimizer, progress=None, extra=None):
    checkpoint.save(path, model=network, optimizers=[optimizer], extra=extra or {}, progress=progress or {"step": 1})


@pytest.fixture
def good(tmp_path):
    """A checkpoint on disk, and the network and optimizer that it holds."""
    network, optimizer = make()
    step(network, optimizer, 0)
    save(tmp_path / "state.safetensors", network, optimizer)
    return tmp_path / "state.safetensors", network, optimizer


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_restored_run_goes_on_bit_for_bit(tmp_path, name):
    path = tmp_path / "checkpoints/last/state.safetensors"
    network, optimizer = make(name)
    for seed in range(3):
        step(network, optimizer, seed)
    progress = {"step": 3, "val": {"miou": 0.1 + 0.2, "per_class_iou": [None, 1.0]}, "parts": ["task", "kd"]}
    extra = {"meter.sums": torch.tensor([1 / 3], dtype=torch.float64)}
    save(path, network, optimizer, progress, extra)
    other, other_optimizer = make(name)
    saved = checkpoint.load(path)
    assert saved.progress == progress
    assert torch.equal(saved.extra["meter.sums"], extra["meter.sums"])
    checkpoint.restore(saved, model=other, optimizers=[other_optimizer])
    for seed in range(3, 5):
        step(network, optimizer, seed)
        step(other, other_optimizer, seed)
    for key, value in network.state_dict().items():
        assert torch.isfinite(value).all()
        assert torch.equal(value, other.state_dict()[key]), key


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_momentum_comes_back_in_the_layout_of_its_parameter(tmp_path, name):
    def in_layout():
        network, _ = make(name)
        network[2] = nn.Conv2d(4, 2, 3)  # of a 1x1 kernel both layouts are the same
        network.to(memory_format=torch.channels_last)
        return network, make_optimizer(network.parameters(), name=name, lr=0.1, momentum=0.9, weight_decay=0)

    def layouts(optimizer):
        return {
            (index, key): (value.stride(), value.dtype)
            for index, state in optimizer.state_dict()["state"].items()
            for key, value in state.items()
            if isinstance(value, torch.Tensor)
        }

    network, optimizer = in_layout()
    step(network, optimizer, 0)
    before = layouts(optimizer)
    assert (before[4, "momentum_buffer" if name == "sgd" else "exp_avg"])[0] == (36, 1, 12, 4)  # channels side by side
    save(tmp_path / "state", network, optimizer)
    other, other_optimizer = in_layout()
    checkpoint.restore(checkpoint.load(tmp_path / "state"), model=other, optimizers=[other_optimizer])
    assert layouts(other_optimizer) == before
    for seed in (1, 2):
        step(network, optimizer, seed)
        step(other, other_optimizer, seed)
    assert all(torch.equal(one, two) for one, two in zip(network.parameters(), other.parameters(), strict=True))


def test_a_checkpoint_before_the_first_step_has_no_optimizer_state(tmp_path):
    network, optimizer = make()
    save(tmp_path / "x", network, optimizer)
    saved = checkpoint.load(tmp_path / "x")
    assert saved.optimizer == {}
    checkpoint.restore(saved, model=network, optimizers=[optimizer])


def test_saving_leaves_no_other_file(good):
    path, network, optimizer = good
    save(path, network, optimizer)
    assert os.listdir(path.parent) == [path.name]


def test_the_saved_tensors_do_not_follow_the_network(good):
    path, network, _ = good
    before = network[0].weight.detach().clone()
    with torch.no_grad():
        network[0].weight.add_(1)
    assert torch.equal(checkpoint.load(path).model["0.weight"], before)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["0.weight", "1.running_var"])
def test_a_weight_that_is_not_finite_is_refused_and_the_old_file_kept(good, bad, where):
    path, network, optimizer = good
    content = path.read_bytes()
    network.state_dict()[where].view(-1)[0] = bad
    with pytest.raises(CheckpointError, match=f"{where} is not finite; .* is left as it was"):
        save(path, network, optimizer)
    assert path.read_bytes() == content
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_crash_while_writing_leaves_the_old_file(good, monkeypatch, moment):
    path, network, optimizer = good
    step(network, optimizer, 1)

    def crash(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, moment, crash)
        with pytest.raises(OSError, match="disk full"):
            save(path, network, optimizer, {"step": 2})
    assert os.listdir(path.parent) == [path.name]
    assert checkpoint.load(path).progress == {"step": 1}
    save(path, network, optimizer, {"step": 2})
    assert checkpoint.load(path).progress == {"step": 2}


def test_the_file_is_on_the_disk_before_it_takes_the_name(good, monkeypatch):
    path, network, optimizer = good
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(files.os, name, lambda *a, name=name, real=real: (calls.append(name), real(*a)))
    save(path, network, optimizer)
    assert calls == ["fsync", "replace"]


def test_a_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist: the run saved nothing to continue from"):
        checkpoint.load(tmp_path / "none")


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_truncated_file(good, length):
    path, *_ = good
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CheckpointError, match=f"{path.name} is (not a readable checkpoint|damaged)"):
        checkpoint.load(path)


@pytest.mark.parametrize("place", [0.01, 0.5, 0.99])
def test_a_changed_bit_is_found(good, place):
    path, *_ = good
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 4
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"is damaged|not a readable checkpoint"):
        checkpoint.load(path)


@pytest.mark.parametrize("metadata", [None, {"format": "segdistill"}])
def test_another_safetensors_file(tmp_path, metadata):
    save_file({"weight": torch.zeros(2)}, tmp_path / "other", metadata)
    with pytest.raises(CheckpointError, match="must be of format segdistill-checkpoint-3; got"):
        checkpoint.load(tmp_path / "other")


@pytest.mark.parametrize("metadata", [{}, {"progress": "{"}])
def test_a_checkpoint_without_its_progress(good, metadata):
    path, *_ = good
    save_file(load_file(path), path, {"format": checkpoint.FORMAT, **metadata})
    with pytest.raises(CheckpointError, match="is not a readable checkpoint"):
        checkpoint.load(path)


def test_a_checkpoint_of_another_model_is_one_short_sentence(good):
    path, *_ = good
    for other in (make(width=5)[0], nn.Sequential(*(nn.Linear(1, 1) for _ in range(200)))):
        optimizer = make_optimizer(other.parameters(), name="sgd", lr=0.1, momentum=0.9, weight_decay=0)
        with pytest.raises(CheckpointError, match="the checkpoint is of another model") as caught:
            checkpoint.restore(checkpoint.load(path), model=other, optimizers=[optimizer])
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500
