"""One file holds a trained network: round trip, atomicity, and files that are something else."""

import json
import os

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from segdistill.networks import create_model, read_student, save_student

torch.set_num_threads(1)

LABELS = {"names": ["road", "sky"]}


@pytest.fixture
def network():
    torch.manual_seed(1)
    return create_model(
        "deeplabv3_mobilenetv2_050",
        num_classes=2,
        output_stride=16,
        backbone={"pad_type": "same"},
        mean=(0.1, 0.2, 0.3),
        bgr=True,
    )


def rewrite(path, **changes):
    """Write the file again with another header; None removes an entry."""
    with safe_open(path, "pt") as content:
        header = {**content.metadata(), **changes}
    save_file(load_file(path), path, {key: value for key, value in header.items() if value is not None})


def test_round_trip(tmp_path, network):
    path = tmp_path / "student.safetensors"
    network = network.to(memory_format=torch.channels_last)
    network(torch.randn(2, 3, 32, 32))
    save_student(path, network, labels_json=LABELS, extra={"protocol": "whole image"})
    again, header = read_student(path)
    assert not again.training
    assert again.architecture == network.architecture == header["architecture"]
    assert again.preprocessing == network.preprocessing
    assert header["preprocessing"] == {"mean": [0.1, 0.2, 0.3], "std": [0.229, 0.224, 0.225], "bgr": True}
    assert header["labels"] == LABELS
    assert header["format"] == "segdistill"
    assert header["protocol"] == "whole image"
    assert os.listdir(tmp_path) == ["student.safetensors"]
    state = network.state_dict()
    assert list(again.state_dict()) == list(state)
    assert all(torch.equal(value, state[key]) for key, value in again.state_dict().items())


def test_a_failed_save_leaves_the_old_file(tmp_path, network, monkeypatch):
    path = tmp_path / "student.safetensors"
    save_student(path, network, labels_json=LABELS)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    torch.nn.init.zeros_(network.classifier.weight)
    with pytest.raises(OSError, match="disk full"):
        save_student(path, network, labels_json=LABELS)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["student.safetensors"]


def test_what_cannot_be_saved(tmp_path, network):
    with pytest.raises(ValueError, match="must be a Segmenter; got Linear"):
        save_student(tmp_path / "a", torch.nn.Linear(1, 1), labels_json=LABELS)
    with pytest.raises(ValueError, match="got labels"):
        save_student(tmp_path / "a", network, labels_json=LABELS, extra={"labels": "x"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": None}, "saved by segdistill"),
        ({"format": "pt"}, "saved by segdistill"),
        ({"architecture": "{"}, "JSON object `architecture`"),
        ({"architecture": "[]"}, "JSON object `architecture`"),
        ({"labels": None}, "JSON object `labels`"),
        ({"architecture": '{"name": "deeplabv3_resnet18"}'}, "architecture of aux, backbone"),
    ],
)
def test_headers_that_are_not_ours(tmp_path, network, changes, message):
    path = tmp_path / "student.safetensors"
    save_student(path, network, labels_json=LABELS)
    rewrite(path, **changes)
    with pytest.raises(ValueError, match=message):
        read_student(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "deeplabv3_nothing"}, "can be built.*deeplabv3_nothing"),
        ({"backbone": {"checkpoint_path": "evil.pth"}}, "must not set checkpoint_path"),
        ({"num_classes": 3}, r"`classifier.weight` has shape \(2, 128, 1, 1\) instead of \(3, "),
        ({"aux": True}, "lacks `aux.0.weight`"),
        ({"num_classes": 10**12}, "can be built"),
    ],
)
def test_architectures_that_do_not_fit_the_tensors(tmp_path, network, changes, message):
    path = tmp_path / "student.safetensors"
    save_student(path, network, labels_json=LABELS)
    rewrite(path, architecture=json.dumps({**network.architecture, **changes}))
    with pytest.raises(ValueError, match=message):
        read_student(path)


def test_an_architecture_cannot_ask_for_weights(tmp_path, network):
    path = tmp_path / "student.safetensors"
    save_student(path, network, labels_json=LABELS)
    rewrite(path, architecture=json.dumps({**network.architecture, "pretrained": True}))
    with pytest.raises(ValueError, match="pretrained"):
        read_student(path)


def test_files_that_are_missing_cut_or_pickled(tmp_path, network):
    path = tmp_path / "student.safetensors"
    with pytest.raises(FileNotFoundError, match="is not a file"):
        read_student(path)
    save_student(path, network, labels_json=LABELS)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="whole safetensors file"):
        read_student(path)
    torch.save({}, tmp_path / "student.pt")
    with pytest.raises(ValueError, match="pickles are not read"):
        read_student(tmp_path / "student.pt")
