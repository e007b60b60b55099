import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.conftest import SMALL

from segdistill import networks, store
from segdistill.data import CITYSCAPES_LABELS, STREETS_LABELS
from segdistill.networks import Network, create_network
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
        assert isinstance(predictor.network, Network)
        assert not predictor.network.training
        assert tuple(predictor.names) == STREETS_LABELS.names
        assert tuple(predictor.colors) == STREETS_LABELS.colors
        masks.append(predictor(image))
    assert all(torch.equal(mask, masks[0]) for mask in masks)
    assert masks[0].shape == (24, 40)


def test_load_reads_the_image_scale_of_training(save_network, tmp_path):
    network = create_network(SMALL, num_classes=9, options={"output_stride": 16})
    path = tmp_path / "x.safetensors"
    network.labels = STREETS_LABELS
    networks.save_network(path, network, extra={"image_scale": "0.5"})
    assert load(path).image_scale == 0.5
    assert load(save_network()).image_scale == 1.0


@pytest.mark.parametrize("scale", ["half", "nan", "-1", "0", "inf"])
def test_an_image_scale_that_cannot_be_is_refused(tmp_path, scale):
    network = create_network(SMALL, num_classes=9, options={"output_stride": 16})
    path = tmp_path / "x.safetensors"
    network.labels = STREETS_LABELS
    networks.save_network(path, network, extra={"image_scale": scale})
    with pytest.raises(ValueError, match=r"x\.safetensors .*image_scale"):
        load(path)


def test_a_label_table_of_another_length_than_the_logits_is_refused(tmp_path):
    network = create_network(SMALL, num_classes=9, options={"output_stride": 16})
    path = tmp_path / "x.safetensors"
    network.labels = CITYSCAPES_LABELS
    networks.save_network(path, network)
    with pytest.raises(ValueError, match=r"x\.safetensors must name its 9 classes; its table has 19"):
        load(path)


def test_load_says_what_it_found_instead(tmp_path, save_network):
    with pytest.raises(RunError, match="none does not exist"):
        load(tmp_path / "none")
    with pytest.raises(RunError, match=r"must be a run folder or a student\.safetensors; .* Is the run complete"):
        load(tmp_path)
    (tmp_path / "x.safetensors").write_bytes(save_network().read_bytes()[:1000])
    with pytest.raises(ValueError, match="must be a whole safetensors file|is damaged"):
        load(tmp_path / "x.safetensors")
    save_file(load_file(save_network()), tmp_path / "bare.safetensors")
    with pytest.raises(ValueError, match="must be a network saved by segdistill"):
        load(tmp_path / "bare.safetensors")


@pytest.mark.parametrize("name", ["x.pth", "x.pth.tar", "x.pt"])
def test_the_authors_files_need_a_name_and_classes(tmp_path, name):
    with pytest.raises(ValueError, match="does not say which network it is. Give its source and name"):
        load_predictor(tmp_path / name)
    torch.save({"x": torch.zeros(1)}, tmp_path / name)
    with pytest.raises(ValueError, match="deeplabv3_resnet18"):
        load_predictor(tmp_path / name, source="official", name="deeplabv3_resnet18", labels=CITYSCAPES_LABELS)
