"""Teachers of a recipe: their origin, their classes, several of them."""

import logging

import pytest
import torch
from tests.conftest import SMALL, UNASKED
from tests.experiment.settings import TINY

import segdistill as sd
from segdistill import store
from segdistill.data import STREETS_LABELS
from segdistill.experiment.teachers import build_teacher
from segdistill.labels import LabelTable
from segdistill.networks import Network, create_network, save_network
from segdistill.recipe import Recipe, TeacherConfig, load_recipe
from segdistill.util import ArgumentError, RecipeError

KD = [*TINY, "terms={}", "terms.kd.weight=1"]
OPTIONS = {"output_stride": 16}
NAMES = STREETS_LABELS.names


def saved(path, names, seed=0):
    torch.manual_seed(seed)
    network = create_network(SMALL, num_classes=len(names), options=OPTIONS).eval()
    network.labels = LabelTable.from_names(names)
    save_network(path, network)
    return network


def build(path, **more):
    return build_teacher(TeacherConfig(weights=str(path), fold_bn=False, **more), STREETS_LABELS)


def test_the_same_names_in_another_order_are_brought_in_order_and_it_is_said(tmp_path, caplog):
    network = saved(tmp_path / "x.safetensors", NAMES[::-1])
    with caplog.at_level(logging.INFO, "segdistill"):
        teacher = build(tmp_path / "x.safetensors")
    assert "has the classes of the data in another order: they are brought in order by name" in caplog.text
    image = torch.rand(1, 3, 32, 48)
    torch.testing.assert_close(teacher(image).logits, network(image).logits.flip(1))


def test_a_map_of_classes_is_used_and_what_is_not_known_is_said(tmp_path, caplog):
    network = saved(tmp_path / "x.safetensors", ["tarmac", "lane marking", "Sky"])
    with caplog.at_level(logging.INFO, "segdistill"):
        teacher = build(tmp_path / "x.safetensors", classes={"road": ["tarmac", "lane marking"], "sky": "Sky"})
    assert "does not know `" in caplog.text
    image = torch.rand(1, 3, 32, 48)
    theirs, said = network(image).logits.softmax(1), teacher(image).logits.softmax(1)
    order = [NAMES[train_id] for train_id in teacher.classes.known]
    torch.testing.assert_close(said[:, order.index("road")], theirs[:, :2].sum(1))


@pytest.mark.parametrize("classes", ["auto", {"road": "Road"}])
def test_a_network_that_names_no_classes_takes_no_map(tmp_path, classes, monkeypatch):
    monkeypatch.setattr("segdistill.experiment.teachers.load_network", lambda *_, **__: unnamed(4))
    with pytest.raises(ArgumentError, match="must be left out or none"):
        build("x", classes=classes)
    with pytest.raises(ArgumentError, match="must know the classes of the data, 9; it has 4, without names"):
        build("x")
    assert build("x", classes="none").num_classes == 0
    monkeypatch.setattr("segdistill.experiment.teachers.load_network", lambda *_, **__: unnamed(9))
    assert build("x").num_classes == 9


def unnamed(count):
    return Network(torch.nn.Conv2d(3, count, 1))


def test_a_teacher_of_a_source_needs_no_file_where_the_source_has_weights_and_one_where_it_has_none():
    with pytest.raises(ArgumentError, match=r"`weights` must be given for deeplabv3_.* of the source zoo"):
        build_teacher(TeacherConfig(source="zoo", name=SMALL), STREETS_LABELS)
    with pytest.raises(RecipeError, match="`teacher` must have `weights`, a run folder or a file, or the"):
        load_recipe("demo", ["teacher.source=zoo"])


def test_a_backbone_without_classes_teaches_features_and_is_not_scored(tmp_path):
    saved(tmp_path / "x.safetensors", ["cat", "dog"])
    taught = [f"teacher.weights={tmp_path / 'x.safetensors'}", "teacher.classes=none"]
    with pytest.raises(ArgumentError, match="'kd' compares logits, and the teacher has no classes in common"):
        sd.train("demo", overrides=[*KD, *taught], out=tmp_path / "run")
    mimic = ["terms={}", "terms.fitnet.layer=layer4"]
    trained = sd.train("demo", overrides=[*TINY, *mimic, *taught], out=tmp_path / "run")
    teacher = trained.result["teacher"]
    assert (teacher["miou"], teacher["asked"], teacher["classes"]) == (None, None, [])
    assert teacher["params"] > 0
    assert teacher["macs"] > 0
    sd.report([trained.folder], tmp_path / "report.html")


def test_several_teachers_and_their_mean_stand_in_the_result(tmp_path):
    for name, seed in (("one", 1), ("two", 2)):
        saved(tmp_path / f"{name}.safetensors", NAMES, seed)
    taught = [f"teachers.{n}={{weights: {tmp_path / n}.safetensors, check: false}}" for n in ("one", "two")]
    terms = ["terms={}", "terms.kd.weight=1", "terms.fitnet={layer: layer4, teacher: two}"]
    trained = sd.train("demo", overrides=[*TINY, *terms, *taught], out=tmp_path / "run")
    teachers = trained.result["teachers"]
    assert list(teachers) == ["one", "two", "mean"]
    assert trained.result["teacher"] == teachers["mean"]
    assert all(each["miou"] is not None and each["ms_per_image"] > 0 for each in teachers.values())
    assert teachers["mean"]["macs"] == teachers["one"]["macs"] + teachers["two"]["macs"] > 0
    assert "teacher one" in sd.report([trained.folder], tmp_path / "report.html").file.read_text(encoding="utf-8")
    assert (trained.folder / store.GALLERY / "teacher_000.png").is_file()
    again = Recipe.model_validate(load_recipe(trained.folder / store.RECIPE).model_dump())
    assert list(again.taught_by) == ["one", "two"]


def test_several_teachers_of_mine_are_given_by_name(tmp_path):
    teachers = {name: sd.Teacher(create_network(SMALL, num_classes=9, options=OPTIONS)) for name in ("one", "two")}
    unasked = [f"teachers.{name}.check=false" for name in teachers]
    assert sd.check("demo", teacher=teachers, overrides=[*KD, *unasked]).problems == []
    trained = sd.train("demo", teacher=teachers, overrides=[*KD, *unasked], out=tmp_path / "run")
    assert list(trained.result["teachers"]) == ["one", "two", "mean"]


def test_a_term_names_a_teacher_that_there_is(tmp_path):
    with pytest.raises(RecipeError, match=r"`terms\.kd\.teacher` must be mean or one of teacher; got 'other'"):
        load_recipe("demo", ["teacher.weights=X", "terms.kd.teacher=other"])
    with pytest.raises(RecipeError, match="must have other names than mean"):
        load_recipe("demo", ["teachers.mean.weights=X"])


def test_evaluate_brings_classes_in_order_by_name(tmp_path):
    made = {}
    for turn in ("there", "here"):
        made[turn] = sd.train("demo_student", overrides=TINY, out=tmp_path / turn)
    network = sd.load(made["there"].folder).network
    order = list(range(8, -1, -1))
    network.labels = LabelTable.from_names([NAMES[i] for i in order])
    with torch.no_grad():
        for parameter in (network.module.classifier.weight, network.module.classifier.bias):
            parameter.copy_(parameter[order].clone())
    save_network(made["there"].folder / store.STUDENT, network)
    there, here = (sd.evaluate(made[turn].folder).score["per_class_iou"] for turn in ("there", "here"))
    assert there == here


def test_unasked_is_a_key_of_the_recipe():
    assert load_recipe("demo", ["teacher.weights=X", UNASKED]).teacher.check is False
