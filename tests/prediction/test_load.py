import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.conftest import SMALL

import segdistill
from segdistill import store
from segdistill.data import CITYSCAPES_LABELS, STREETS_LABELS
from segdistill.networks import Segmenter, create_model
from segdistill.prediction import load
from segdistill.prediction.load import load_predictor
from segdistill.util import RunError


def test_load_takes_a_run_folder_or_a_file(save_network, tmp_path):
    file = save_network()
    run = tmp_path / "run"
    run.mkdir()
    (run / store.STUDENT).write_bytes(file.read_bytes())
    image = (torch.rand(3, 24, 40) * 255).to(torch.uint8)
    masks = []
    for path in (run, str(run), file):
        predictor = load(path)
        assert isinstance(predictor.network, Segmenter)
        assert not predictor.network.training
        assert tuple(predictor.names) == STREETS_LABELS.names
        assert tuple(predictor.colors) == STREETS_LABELS.colors
        masks.append(predictor(image))
    assert all(torch.equal(mask, masks[0]) for mask in masks)
    assert masks[0].shape == (24, 40)


def test_load_reads_the_image_scale_of_training(save_network, tmp_path):
    network = create_model(SMALL, num_classes=9, output_stride=16)
    path = tmp_path / "x.safetensors"
    segdistill.networks.save_student(path, network, labels_json=STREETS_LABELS.to_json(), extra={"image_scale": "0.5"})
    assert load(path).image_scale == 0.5
    assert load(save_network()).image_scale == 1.0


@pytest.mark.parametrize("scale", ["half", "nan", "-1", "0", "inf"])
def test_an_image_scale_that_cannot_be_is_refused(tmp_path, scale):
    network = create_model(SMALL, num_classes=9, output_stride=16)
    path = tmp_path / "x.safetensors"
    segdistill.networks.save_student(path, network, labels_json=STREETS_LABELS.to_json(), extra={"image_scale": scale})
    with pytest.raises(ValueError, match=r"x\.safetensors .*image_scale"):
        load(path)


def test_a_label_table_of_another_length_than_the_logits_is_refused(tmp_path):
    network = create_model(SMALL, num_classes=9, output_stride=16)
    path = tmp_path / "x.safetensors"
    segdistill.networks.save_student(path, network, labels_json=CITYSCAPES_LABELS.to_json())
    with pytest.raises(ValueError, match=r"x\.safetensors .*9 classes.* 19"):
        load(path)


def test_load_says_what_it_found_instead(tmp_path, save_network):
    with pytest.raises(RunError, match="none does not exist"):
        load(tmp_path / "none")
    with pytest.raises(RunError, match=r"must be a run folder or a student\.safetensors; .* Is the run complete"):
        load(tmp_path)
    (tmp_path / "x.safetensors").write_bytes(save_network().read_bytes()[:1000])
    with pytest.raises(ValueError, match="must be a whole safetensors file"):
        load(tmp_path / "x.safetensors")
    save_file(load_file(save_network()), tmp_path / "bare.safetensors")
    with pytest.raises(ValueError, match="must be a network saved by segdistill"):
        load(tmp_path / "bare.safetensors")


@pytest.mark.parametrize("name", ["x.pth", "x.pth.tar", "x.pt"])
def test_the_authors_files_need_a_name_and_classes(tmp_path, name):
    with pytest.raises(ValueError, match="is a checkpoint of the authors, say which network it is"):
        load(tmp_path / name)
    torch.save({"x": torch.zeros(1)}, tmp_path / name)
    with pytest.raises(ValueError, match="deeplabv3_resnet18"):
        load_predictor(tmp_path / name, official="deeplabv3_resnet18", labels=CITYSCAPES_LABELS)
