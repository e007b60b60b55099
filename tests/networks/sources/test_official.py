"""The authors' checkpoints: outputs equal to their code's, and files that are not theirs.

``golden/networks/official_state_dicts.json`` has every key and shape of a published checkpoint, and
``official_outputs.npz`` what the authors' networks return for the weights that ``rebuild`` makes.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.networks import golden

from segdistill.networks import create_network, load_official
from segdistill.networks.sources.official import OFFICIAL

torch.set_num_threads(1)

GOLDEN = Path(__file__).parents[2] / "golden" / "networks"
SHAPES = json.loads((GOLDEN / "official_state_dicts.json").read_text())
SMALL = "deeplabv3_mobilenetv2"


def rebuild(name):
    """Make the weights the golden outputs were computed with."""
    return golden.rebuild(SHAPES[name])


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "authors.pth"
    torch.save(rebuild(SMALL), path)
    return path


@pytest.mark.parametrize("name", list(SHAPES))
def test_outputs_equal_the_authors(name, tmp_path):
    torch.save(rebuild(name), tmp_path / "a.pth")
    network = load_official(tmp_path / "a.pth", name, num_classes=19)
    assert not network.training
    with np.load(GOLDEN / "official_outputs.npz") as theirs:
        with torch.no_grad():
            output = network.module(torch.from_numpy(theirs["input"]))
        deep = output.features["layer4"]
        ours = {
            "logits": output.logits,
            "aux_logits": output.aux_logits,
            "c4_first16": deep[:, :16],
            "c4_mean": deep.double().mean(),
        }
        compared = [key for key in ours if f"{name}.{key}" in theirs]
        assert "logits" in compared
        assert ("aux_logits" in compared) == ("resnet" in name) == (output.aux_logits is not None)
        for key in compared:
            assert golden.relative_error(ours[key], theirs[f"{name}.{key}"]) < 1e-5, key


def test_preprocessing_is_the_authors(checkpoint):
    network = load_official(checkpoint, SMALL, num_classes=19)
    mean, std, bgr = network.preprocessing[:3]
    assert bgr
    # A mid-grey image in [0, 1] becomes what `pixel - mean` is in 0..255.
    result = [(0.5 - m) / s for m, s in zip(mean, std, strict=True)]
    assert result == pytest.approx([127.5 - 104.00698793, 127.5 - 116.66876762, 127.5 - 122.67891434])
    assert create_network(**network.spec).preprocessing == network.preprocessing


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "iteration": 40000},
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {"model": {f"module.{key}": value for key, value in state.items()}},
    ],
)
def test_wrapped_checkpoints_load(tmp_path, wrap):
    state = rebuild(SMALL)
    torch.save(wrap(state), tmp_path / "a.pth")
    network = load_official(tmp_path / "a.pth", SMALL, num_classes=19)
    assert torch.equal(network.module.classifier.bias, state["head.block.4.bias"])


def test_both_spellings_name_one_network(tmp_path):
    torch.save(rebuild("pspnet_resnet18"), tmp_path / "a.pth")
    network = load_official(tmp_path / "a.pth", "pspnet_resnet18s", num_classes=19)
    assert network.spec["name"] == OFFICIAL["pspnet_resnet18"] == "pspnet_resnet18s"


@pytest.mark.parametrize("name", ["deeplabv3_resnet34", "resnet18", "deeplabv3_mobilenetv2s"])
def test_unknown_names_are_refused(checkpoint, name):
    with pytest.raises(ValueError, match=f"one of deeplabv3_mobilenetv2, .*; got '{name}'"):
        load_official(checkpoint, name, num_classes=19)


def test_another_network_is_named(checkpoint):
    with pytest.raises(ValueError, match=r"of `deeplabv3_resnet18`; .* is one of `deeplabv3_mobilenetv2`"):
        load_official(checkpoint, "deeplabv3_resnet18", num_classes=19)


def test_another_number_of_classes_is_named(checkpoint):
    with pytest.raises(ValueError, match=r"got 11, .*\(19, 128, 1, 1\)"):
        load_official(checkpoint, SMALL, num_classes=11)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("head.block.4.bias"), "lacks `classifier.bias`"),
        (lambda s: s.pop("head.block.4.weight"), "lacks `classifier.weight`"),
        (lambda s: s.update({"projetor.weight": torch.zeros(1)}), "unknown `projetor.weight`"),
        (
            lambda s: s.update({"head.block.1.bias": torch.zeros(1)}),
            r"`decoder.block.1.bias` has shape \(1,\)",
        ),
        (lambda s: s.clear(), "has other tensors"),
    ],
)
def test_tensors_that_do_not_fit(tmp_path, change, message):
    state = rebuild(SMALL)
    change(state)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=message):
        load_official(tmp_path / "a.pth", SMALL, num_classes=19)


class Malicious:
    """Makes a folder when a pickle of it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_files_that_are_no_checkpoints(tmp_path):
    path = tmp_path / "a.pth"
    with pytest.raises(FileNotFoundError, match="is not a file"):
        load_official(path, SMALL, num_classes=19)
    for content in (b"", b"<html>too many downloads</html>"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="torch refuses"):
            load_official(path, SMALL, num_classes=19)
    for thing in ([1, 2], {"epoch": 3}, torch.zeros(2)):
        torch.save(thing, path)
        with pytest.raises(ValueError, match="holds something else"):
            load_official(path, SMALL, num_classes=19)


def test_code_in_a_checkpoint_does_not_run(tmp_path):
    torch.save({"state_dict": Malicious(tmp_path / "ran")}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"plain values only; .* it holds posix\.mkdir"):
        load_official(tmp_path / "a.pth", SMALL, num_classes=19)
    assert not (tmp_path / "ran").exists()
