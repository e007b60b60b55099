import pytest
from tests.networks import contract

from segdistill.labels import LabelTable
from segdistill.networks import SOURCES, create_network, save_network
from segdistill.util import ArgumentError, WeightsError

SMALL = ["deeplabv3_mobilenetv2_035", "pspnet_mobilenetv2_035", "pspnet_resnet18"]


@pytest.mark.parametrize("name", SMALL)
def test_promises_of_every_network(name, tmp_path):
    contract.check_all(lambda: create_network(name, num_classes=5, options={"output_stride": 16}), tmp_path)


def test_with_every_option(tmp_path):
    options = {
        "output_stride": 32,
        "aux": True,
        "backbone": {"pad_type": "same"},
        "mean": [0.5, 0.5, 0.4],
        "std": [0.5, 0.5, 0.5],
        "bgr": True,
        "dropout": False,
    }
    contract.check_all(lambda: create_network(SMALL[0], num_classes=3, options=options), tmp_path)
    assert create_network(SMALL[0], num_classes=3, options=options).spec["options"] == options


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "zo"}, "`source` must be a known source of networks; got 'zo'. Nearest names: zoo"),
        (
            {"options": {"output_strid": 8}},
            "`options.output_strid` is not an option of the zoo. Nearest names: output_stride",
        ),
        ({"options": {"pretrained": True}}, "`options.pretrained` is not an option"),
        ({"num_classes": None}, "`num_classes` must be given"),
        ({"name": "deeplabv3_resnt18"}, "Nearest names: deeplabv3_resnet18"),
    ],
)
def test_what_does_not_exist_is_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        create_network(**{"name": SMALL[0], "num_classes": 3, **arguments})


def test_weights_of_the_whole_network(tmp_path):
    trained = create_network(SMALL[0], num_classes=2)
    trained.labels = LabelTable.from_names(["a", "b"])
    save_network(tmp_path / "w.safetensors", trained)
    again = create_network(SMALL[0], num_classes=2, weights=tmp_path / "w.safetensors")
    assert (again.module.classifier.weight == trained.module.classifier.weight).all()
    with pytest.raises(WeightsError, match=r"`classifier.weight` has shape \(2, "):
        create_network(SMALL[0], num_classes=3, weights=tmp_path / "w.safetensors")


def test_sources_are_a_literal_table():
    assert list(SOURCES) == ["huggingface", "official", "openmmlab", "smp", "torchvision", "zoo"]
