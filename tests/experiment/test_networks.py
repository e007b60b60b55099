import pytest
import torch
from tests.conftest import SMALL

from segdistill.data import CAMVID_LABELS, STREETS_LABELS
from segdistill.experiment import networks as module
from segdistill.experiment.session import build
from segdistill.experiment.teachers import build_teacher
from segdistill.labels import LabelTable
from segdistill.networks import create_network, save_network
from segdistill.recipe.load import load_recipe, recipe_names
from segdistill.recipe.schema import TeacherConfig
from segdistill.util import RecipeError, UnavailableError

RECIPES = [load_recipe(name, ["teacher.weights=X"]) for name in recipe_names()]


@pytest.mark.parametrize(
    ("name", "stride"), sorted({(r.model.name, r.model.options.get("output_stride", 8)) for r in RECIPES})
)
def test_the_networks_that_recipes_name_exist(name, stride):
    with torch.device("meta"):
        network = create_network(name, num_classes=5, options={"output_stride": stride})
        output = network.eval()(torch.empty(1, 3, 64, 96))
    assert output.logits.shape == (1, 5, 64 // stride, 96 // stride)


def test_weights_that_cannot_be_fetched_are_a_sentence(monkeypatch, tiny):
    def offline(*_, **__):
        raise UnavailableError("timm could not load its weights of `x` (no network).")

    monkeypatch.setattr(module, "create_network", offline)
    with pytest.raises(RecipeError, match="timm could not load its weights"):
        build(tiny("demo_student"))


def test_a_teacher_of_other_classes_is_refused(save_network):
    with pytest.raises(ValueError, match=r"must know the classes of the data; both know `sky`.*it alone.*`Bicyclist`"):
        build_teacher(TeacherConfig(weights=str(save_network(CAMVID_LABELS))), STREETS_LABELS)
    renamed = LabelTable.from_names([*STREETS_LABELS.names[:-1], "other"])
    with pytest.raises(ValueError, match=r"it alone `other`; the data alone `sign`\. .*teacher\.classes=auto"):
        build_teacher(TeacherConfig(weights=str(save_network(renamed))), STREETS_LABELS)


def test_a_teacher_keeps_its_own_preprocessing_and_features(tmp_path):
    options = {"output_stride": 16, "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "bgr": True}
    network = create_network(SMALL, num_classes=9, options=options)
    network.labels = STREETS_LABELS
    save_network(tmp_path / "x.safetensors", network)
    config = TeacherConfig(weights=str(tmp_path / "x.safetensors"), features={"deep": "backbone.blocks.2"})
    teacher = build_teacher(config, STREETS_LABELS)
    image = torch.rand(1, 3, 64, 64)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    expected = network.module.eval()((image.flip(1) - mean) / std)
    output = teacher(image)
    torch.testing.assert_close(output.logits, expected.logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(output.features["layer4"], expected.features["layer4"], rtol=1e-4, atol=1e-4)
    assert "deep" in output.features


def test_a_teacher_is_folded_and_follows_the_precision_of_the_training_unless_told(save_network):
    weights = str(save_network())
    follows = build_teacher(TeacherConfig(weights=weights), STREETS_LABELS, precision="bf16")
    assert (follows.precision, follows.num_folded > 0) == (torch.bfloat16, True)
    told = build_teacher(
        TeacherConfig(weights=weights, precision="fp32", fold_bn=False), STREETS_LABELS, precision="bf16"
    )
    assert (told.precision, told.num_folded) == (torch.float32, 0)
