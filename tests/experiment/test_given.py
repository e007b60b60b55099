"""Networks from Python in a run that a recipe describes otherwise."""

import pytest
import torch
from tests.conftest import SMALL, UNASKED
from tests.experiment.settings import TINY
from torch import nn

import segdistill as sd
from segdistill.experiment.folders import recipe_of
from segdistill.experiment.given import GIVEN
from segdistill.types import AS_IT_IS
from segdistill.util import ArgumentError, RecipeError

ON_LAYER = [UNASKED, "terms.af_dcd.groups=8", "terms.af_dcd.patch_size=[1,2]"]


@pytest.fixture
def teacher():
    return sd.Teacher(sd.create_network(SMALL, num_classes=9, options={"output_stride": 16}))


def test_a_student_and_a_teacher_of_mine_take_part_and_the_recipe_of_the_run_says_so(tmp_path, teacher):
    student = sd.create_network(SMALL, num_classes=9, options={"output_stride": 16})
    before = student.module.classifier.weight.detach().clone()
    trained = sd.train("demo", student, teacher, overrides=[*TINY, *ON_LAYER], out=tmp_path / "run")
    assert not torch.equal(before, student.module.classifier.weight)
    recipe = recipe_of(trained.folder)
    assert (recipe.model.name, recipe.teacher.weights, recipe.kind) == (GIVEN, GIVEN, "distilled")
    assert torch.equal(sd.load(trained.folder).network.module.classifier.weight, student.module.classifier.weight)
    assert sd.evaluate(trained.folder).score == trained.evaluation.score
    with pytest.raises(RecipeError, match=r"`model\.name`: the student of this recipe was given in Python\. Give it"):
        sd.train(recipe, out=tmp_path / "again")
    with pytest.raises(RecipeError, match=r"`teacher\.weights`: the teacher of this recipe was given in Python"):
        sd.train(recipe, student, out=tmp_path / "again")
    again = sd.train(recipe, student, teacher, out=trained.folder, resume=True)
    assert again.result == trained.result


def test_check_and_profile_take_them_too(teacher):
    overrides = [*TINY, *ON_LAYER]
    assert sd.check("demo", teacher=teacher, overrides=overrides).problems == []
    names = [row["name"] for row in sd.profile("demo", teacher=teacher, overrides=overrides, steps=1).frame()]
    assert names == ["loading", "teacher", "student", "task", "kd", "af_dcd", "optimizer"]


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        ({"student": 3}, "`student` must be a torch.nn.Module; got int"),
        ({"student": "resnet"}, "`student` must be a network or a place, module:function; got 'resnet'"),
        ({"teacher": nn.Conv2d(3, 9, 1)}, r"a Teacher, or several by name; got Conv2d. Wrap the network: Teacher"),
    ],
)
def test_networks_that_cannot_be_are_a_sentence(tmp_path, networks, message):
    with pytest.raises(ArgumentError, match=message):
        sd.train("demo_student", **networks, overrides=TINY, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_student_of_other_classes_and_a_teacher_without_terms_are_refused(tmp_path, teacher):
    with pytest.raises(ArgumentError, match="`student` must have the 9 classes of the data; it has 4"):
        sd.train("demo_student", sd.create_network(SMALL, num_classes=4), overrides=TINY, out=tmp_path / "run")
    with pytest.raises(RecipeError, match="has no `terms`: nothing would be learned from it"):
        sd.train("demo_student", teacher=teacher, overrides=TINY, out=tmp_path / "run")


def test_a_module_of_my_own_code_is_trained_saved_and_loaded(tmp_path):
    student = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.ReLU(), nn.Conv2d(8, 9, 1))
    trained = sd.train("demo_student", student, overrides=TINY, out=tmp_path / "run")
    with pytest.raises(sd.SegdistillError, match=r"somebody's own code.*student=module"):
        sd.load(trained.folder)
    fresh = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.ReLU(), nn.Conv2d(8, 9, 1))
    predictor = sd.load(trained.folder, student=fresh)
    assert torch.equal(fresh[2].weight, student[2].weight)
    assert predictor(torch.rand(3, 32, 48)).shape == (32, 48)


class Picky(nn.Module):
    """Takes images of one size that no trial guesses."""

    def __init__(self):
        super().__init__()
        self.out = nn.Conv2d(3, 9, 1)

    def forward(self, image):
        if image.shape[-2:] != (99, 99):
            raise AssertionError("Input height (32) does not match model (99)")
        return self.out(image)


def test_a_network_that_fails_on_a_crop_is_a_sentence_before_training(tmp_path):
    said = r"`model` must take a crop of 32x48 \(data\.crop_size\); .*Input height \(32\) does not match model \(99\)\."
    with pytest.raises(RecipeError, match=said):
        sd.train("demo_student", Picky(), overrides=TINY, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    fed = sd.Network(Picky(), preprocessing=AS_IT_IS._replace(size=(99, 99)))
    assert sd.train("demo_student", fed, overrides=TINY, out=tmp_path / "run").evaluation is not None


def test_terms_read_its_layers_by_name(tmp_path, teacher):
    student = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.ReLU(), nn.Conv2d(8, 9, 1))
    terms = [UNASKED, "terms={}", "terms.kd.weight=1", "terms.fitnet.layer=[[deep, layer4]]", "model.features.deep='1'"]
    trained = sd.train("demo", student, teacher, overrides=[*TINY, *terms], out=tmp_path / "run")
    assert set(trained.result["terms"]) == {"kd", "fitnet"}
