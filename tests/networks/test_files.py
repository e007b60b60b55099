"""One file holds a trained network: round trip, atomicity, and files that are something else."""

import json
import os

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from segdistill.labels import LabelTable
from segdistill.networks import Network, create_network, read_network, save_network
from segdistill.util import WeightsError

torch.set_num_threads(1)

LABELS = LabelTable.from_names(["road", "sky"])


@pytest.fixture
def network():
    torch.manual_seed(1)
    options = {"output_stride": 16, "backbone": {"pad_type": "same"}, "mean": [0.1, 0.2, 0.3], "bgr": True}
    made = create_network("deeplabv3_mobilenetv2_050", num_classes=2, options=options)
    made.labels = LABELS
    return made


def rewrite(path, **changes):
    """Write the file again with another header; None removes an entry."""
    with safe_open(path, "pt") as content:
        header = {**content.metadata(), **changes}
    kept = {key: value for key, value in header.items() if value is not None and key != "sha256"}
    save_file(load_file(path), path, kept)


def test_round_trip(tmp_path, network):
    path = tmp_path / "student.safetensors"
    network = network.to(memory_format=torch.channels_last)
    network(torch.rand(2, 3, 32, 32))
    save_network(path, network, extra={"protocol": "whole image"})
    again, header = read_network(path)
    assert not again.training
    assert again.spec == network.spec == json.loads(header["spec"])
    assert again.preprocessing == network.preprocessing
    assert again.preprocessing[:3] == ((0.1, 0.2, 0.3), (0.229, 0.224, 0.225), True)
    assert again.labels == LABELS
    assert header["format"] == "segdistill-network-1"
    assert header["protocol"] == "whole image"
    assert os.listdir(tmp_path) == ["student.safetensors"]
    state = network.state_dict()
    assert list(again.state_dict()) == list(state)
    assert all(torch.equal(value, state[key]) for key, value in again.state_dict().items())


def test_the_same_network_gives_the_same_bytes(tmp_path, network):
    contents = set()
    for number in range(8):  # the library draws the order of the header by chance
        extra = {f"entry {i}": str(i) for i in range(12)}
        save_network(tmp_path / f"{number}", network, extra=extra)
        contents.add((tmp_path / f"{number}").read_bytes())
    assert len(contents) == 1


@pytest.mark.parametrize("place", [0.001, 0.02, 0.3, 0.6, 0.9999])
def test_a_changed_bit_is_found(tmp_path, network, place):
    path = tmp_path / "student.safetensors"
    save_network(path, network)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"is damaged|whole safetensors file"):
        read_network(path)


def test_a_network_of_your_own_code_is_saved_and_needs_its_module_again(tmp_path):
    path = tmp_path / "student.safetensors"
    module = torch.nn.Conv2d(3, 2, 1)
    save_network(path, Network(module, labels=LABELS))
    with pytest.raises(WeightsError, match=r"somebody's own code.*student=module"):
        read_network(path)
    again, _ = read_network(path, torch.nn.Conv2d(3, 2, 1))
    assert torch.equal(again.module.weight, module.weight)
    with pytest.raises(WeightsError, match=r"lacks `bias`|has the unknown `bias`"):
        read_network(path, torch.nn.Conv2d(3, 2, 1, bias=False))


def test_a_failed_save_leaves_the_old_file(tmp_path, network, monkeypatch):
    path = tmp_path / "student.safetensors"
    save_network(path, network)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    torch.nn.init.zeros_(network.module.classifier.weight)
    with pytest.raises(OSError, match="disk full"):
        save_network(path, network)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["student.safetensors"]


def test_what_cannot_be_saved(tmp_path, network):
    with pytest.raises(ValueError, match="must be a Network; got Linear"):
        save_network(tmp_path / "a", torch.nn.Linear(1, 1))
    with pytest.raises(ValueError, match="got labels"):
        save_network(tmp_path / "a", network, extra={"labels": "x"})
    with pytest.raises(ValueError, match="must know its classes"):
        save_network(tmp_path / "a", Network(torch.nn.Conv2d(3, 2, 1)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": None}, "saved by segdistill"),
        ({"format": "pt"}, "saved by segdistill"),
        ({"spec": "{"}, "JSON object `spec`"),
        ({"spec": "[]"}, "JSON object `spec`"),
        ({"labels": None}, "JSON object `labels`"),
        ({"labels": "{}"}, "LabelTable.to_json"),
        ({"spec": '{"name": "deeplabv3_resnet18"}'}, "a spec must have name, num_classes, options, source; got name"),
    ],
)
def test_headers_that_are_not_ours(tmp_path, network, changes, message):
    path = tmp_path / "student.safetensors"
    save_network(path, network)
    rewrite(path, **changes)
    with pytest.raises(ValueError, match=message):
        read_network(path)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"name": "deeplabv3_nothing"}, {}, "cannot be built.*deeplabv3_nothing"),
        ({"source": "pickles"}, {}, "known source of networks; got 'pickles'"),
        ({}, {"backbone": {"checkpoint_path": "evil.pth"}}, "must not set checkpoint_path"),
        ({}, {"pretrained": True}, "`options.pretrained` is not an option"),
        ({"num_classes": 3}, {}, "must name its 3 classes; its table has 2"),
        ({}, {"aux": True}, "lacks `aux.0.weight`"),
        ({"num_classes": 10**12}, {}, "cannot be built"),
        ({"pretrained": True}, {}, "a spec must have"),
    ],
)
def test_specs_that_do_not_fit_the_tensors(tmp_path, network, changes, options, message):
    path = tmp_path / "student.safetensors"
    save_network(path, network)
    spec = {**network.spec, **changes, "options": {**network.spec["options"], **options}}
    rewrite(path, spec=json.dumps(spec))
    with pytest.raises(ValueError, match=message):
        read_network(path)


def test_files_that_are_missing_cut_or_pickled(tmp_path, network):
    path = tmp_path / "student.safetensors"
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_network(path)
    save_network(path, network)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"whole safetensors file|is damaged"):
        read_network(path)
    torch.save({}, tmp_path / "student.pt")
    with pytest.raises(ValueError, match="pickles are not read"):
        read_network(tmp_path / "student.pt")
