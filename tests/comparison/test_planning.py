import pytest

from segdistill.comparison.planning import parse_seeds, plan
from segdistill.losses import LOSSES, METHODS
from segdistill.util import RecipeError

TEACHER = ["teacher.weights=runs/t"]


def planned(tmp_path, *overrides, methods=("kd", "af_dcd"), seeds=(0, 1), recipe="demo", **more):
    return plan(recipe, [*TEACHER, *overrides], methods=methods, seeds=seeds, folder=tmp_path, **more)


def recipes(comparison):
    return {variant.name: variant.recipe for variant in comparison.variants}


def test_the_student_alone_is_always_there_and_methods_differ_in_terms_alone(tmp_path):
    rows = recipes(planned(tmp_path, methods=["kd", "cwd", "af_dcd"]))
    assert list(rows) == ["none", "kd", "cwd", "af_dcd"]
    assert (rows["none"].kind, rows["none"].teacher, rows["none"].terms) == ("student", None, {})
    shared = {"name", "terms", "teacher"}
    alone = rows["none"].model_dump(exclude=shared)
    assert all(row.model_dump(exclude=shared) == alone for row in rows.values())
    assert set(rows["cwd"].terms) == {"kd", "cwd"}


def test_settings_of_the_recipe_reach_the_methods_that_have_the_term(tmp_path):
    rows = recipes(planned(tmp_path, "terms.cwd.temperature=2", methods=["kd", "cwd", "af_dcd"]))
    assert rows["af_dcd"].terms["af_dcd"].options["temperature"] == 1.0  # of the recipe demo
    assert rows["cwd"].terms["cwd"].options == {"temperature": 2}
    assert "cwd" not in rows["kd"].terms


def test_losses_joined_by_plus_are_exactly_these(tmp_path):
    rows = recipes(planned(tmp_path, methods=["cwd+mgd"]))
    assert set(rows["cwd-mgd"].terms) == {"cwd", "mgd"}
    assert rows["cwd-mgd"].terms["mgd"].layer == "layer4"


def test_a_recipe_brings_methods_of_its_own_and_changes_known_ones(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "base: demo\nmethods:\n  strong: {kd: {weight: 5.0}}\n  cwd: {cwd: {layer: head, weight: 7.0}}\n",
        encoding="utf-8",
    )
    rows = recipes(planned(tmp_path, methods=["strong", "cwd"], recipe=str(file)))
    assert rows["strong"].terms["kd"].weight == 5.0  # although the recipe's own term says 1
    assert (rows["cwd"].terms["cwd"].weight, rows["cwd"].terms["cwd"].layer) == (7.0, "head")
    assert rows["strong"].methods == {}


def test_varied_settings_multiply_the_rows_they_concern(tmp_path):
    comparison = planned(tmp_path, vary=["terms.af_dcd.groups=4,8", "optim.lr=0.1,0.2"])
    names = [variant.name for variant in comparison.variants]
    assert names == [
        "none-lr-0.1", "none-lr-0.2", "kd-lr-0.1", "kd-lr-0.2",
        "af_dcd-groups-4-lr-0.1", "af_dcd-groups-4-lr-0.2", "af_dcd-groups-8-lr-0.1", "af_dcd-groups-8-lr-0.2",
    ]  # fmt: skip
    last = comparison.variants[-1]
    assert last.settings == {"terms.af_dcd.groups": "8", "optim.lr": "0.2"}
    assert last.recipe.terms["af_dcd"].options["groups"] == 8
    assert last.recipe.optim.lr == 0.2


def test_varied_settings_may_be_values_of_python(tmp_path):
    comparison = planned(tmp_path, methods=["af_dcd"], vary={"terms.af_dcd.patch_size": [[2, 2], [4, 4]]})
    assert [row.name for row in comparison.variants] == ["none", "af_dcd-patch_size--2-2", "af_dcd-patch_size--4-4"]
    assert comparison.variants[2].recipe.terms["af_dcd"].options["patch_size"] == [4, 4]
    flags = planned(tmp_path, methods=[], vary={"train.freeze_bn": [True, False], "data.val_split": [None]})
    assert [row.recipe.train.freeze_bn for row in flags.variants] == [True, False]
    assert flags.variants[0].recipe.data.val_split is None


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_a_recipe_of_known_losses(tmp_path, name):
    row = recipes(planned(tmp_path, methods=[name]))[name]
    assert {term.loss or key for key, term in row.terms.items()} <= set(LOSSES)


def test_every_loss_is_in_a_method():
    assert {term for terms in METHODS.values() for term in terms} == set(LOSSES)


def test_the_teacher_is_a_recipe_that_is_run_or_a_run_that_is_used(tmp_path):
    made = plan(
        "demo", ["data.batch_size=4"], methods=["kd"], seeds=[0], folder=tmp_path, teacher="demo_teacher",
        teacher_overrides=["train.iterations=7"],
    )  # fmt: skip
    assert made.teacher.folder == tmp_path / "teacher"
    assert (made.teacher.recipe.data.batch_size, made.teacher.recipe.train.iterations) == (4, 7)
    assert made.recipe.teacher.weights == str(tmp_path / "teacher")
    (tmp_path / "run").mkdir()
    used = plan("demo", [], methods=["kd"], seeds=[0], folder=tmp_path, teacher=str(tmp_path / "run"))
    assert used.teacher is None
    assert used.recipe.teacher.weights == str(tmp_path / "run")


def test_gradient_norms_are_measured_unless_the_recipe_says_when(tmp_path):
    assert recipes(planned(tmp_path))["kd"].train.grad_norms_every == 15
    assert recipes(planned(tmp_path, "train.grad_norms_every=7"))["kd"].train.grad_norms_every == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": ["cwdd"]}, r"got 'cwdd'\. Nearest names: cwd"),
        ({"methods": ["kd+nothing"]}, "'nothing' in a method joined by"),
        ({"seeds": []}, "`seeds` must be different numbers, at least one"),
        ({"seeds": [1, 1]}, "`seeds` must be different"),
        ({"budget": "hours"}, "`budget` must be iterations or time; got 'hours'"),
        ({"seconds": 10}, "needs --budget time"),
        ({"seconds": -1, "budget": "time"}, "above 0"),
        ({"against": "mgd"}, "`against` must name a row other than none; got 'mgd'"),
        ({"vary": ["terms.cwd.temperature=1,2"]}, "concerns none of the methods compared: none, kd, af_dcd"),
        ({"vary": {"optim.lr": 0.1}}, "`vary` must give a list of values for 'optim.lr'; got 0.1"),
        ({"vary": {"optim.lr": [0.1, 0.1]}}, "`vary` must give different values"),
        ({"vary": ["optim.lr"]}, "must be key=value,value"),
        ({"vary": ["optim.lr=0.1,0.1"]}, "with different values"),
        ({"vary": ["optim.lrr=0.1,0.2"]}, r"`optim.lrr` is not a key of a recipe. Nearest names: lr"),
        ({"vary": ["optim.lr=fast,slow"]}, "`optim.lr`: input should be a valid number"),
        ({"teacher_overrides": ["optim.lr=1"]}, "need a recipe that makes it"),
        ({"teacher": "demo_teecher"}, "there is no recipe 'demo_teecher'. Nearest names: demo_teacher"),
    ],
)
def test_wrong_input_is_one_sentence_before_anything_is_done(tmp_path, change, message):
    with pytest.raises(RecipeError, match=message):
        planned(tmp_path, **change)
    assert list(tmp_path.iterdir()) == []


def test_terms_without_a_teacher_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="`teacher` must be given where there are terms"):
        plan("demo_student", [], methods=["kd"], seeds=[0], folder=tmp_path)


@pytest.mark.parametrize("text", ["", "0", "three", "1;2", "-1"])
def test_seeds_that_are_none(text):
    with pytest.raises(RecipeError, match="--seeds must be a number above 0 or a list"):
        parse_seeds(text)
