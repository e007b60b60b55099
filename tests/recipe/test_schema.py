import pytest

from segdistill.recipe.load import dump_recipe, load_recipe, recipe_names
from segdistill.recipe.schema import Recipe
from segdistill.util import RecipeError

TEACHER = ["teacher.weights=RUN"]


def overrides_for(name):
    return TEACHER if name.endswith("_af_dcd") or name in ("demo", "camvid_cpu") else []


@pytest.fixture
def recipe_file(tmp_path):
    def write(text, name="mine"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        return path

    return write


MINIMAL = """
data: {dataset: streets, crop_size: [32, 48]}
model: {name: deeplabv3_resnet18}
train: {iterations: 10}
"""


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_dumps_to_itself(name, tmp_path):
    recipe = load_recipe(name, overrides_for(name))
    assert recipe.name == name
    assert recipe.description
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(recipe))
    assert load_recipe(path) == recipe


def test_every_row_of_the_papers_tables_has_teacher_student_and_distillation():
    names = set(recipe_names())
    rows = ["cityscapes_deeplabv3_resnet18", "cityscapes_deeplabv3_mobilenetv2", "ade20k_deeplabv3_resnet18",
            "coco_stuff_deeplabv3_resnet18", "voc_deeplabv3_resnet18", "voc_pspnet_resnet18",
            "camvid_deeplabv3_resnet18", "camvid_pspnet_resnet18"]  # fmt: skip
    for row in rows:
        dataset = row.split("_deeplab")[0].split("_psp")[0]
        assert {row, f"{row}_af_dcd", f"{dataset}_teacher"} <= names


@pytest.mark.parametrize(
    ("name", "kd", "mimic", "contrast", "crop", "iterations"),
    [
        ("cityscapes_deeplabv3_resnet18", 1, 2e-6, 5e-3, (512, 1024), 40_000),
        ("cityscapes_deeplabv3_mobilenetv2", 1, 2e-6, 5e-3, (512, 1024), 40_000),
        ("ade20k_deeplabv3_resnet18", 0.5, 1e-6, 4e-2, (512, 512), 40_000),
        ("coco_stuff_deeplabv3_resnet18", 0.5, 5e-6, 5e-3, (512, 512), 80_000),
        ("voc_deeplabv3_resnet18", 1, 1e-6, 5e-3, (512, 512), 40_000),
        ("voc_pspnet_resnet18", 1, 1e-6, 5e-3, (512, 512), 40_000),
        ("camvid_deeplabv3_resnet18", 1, 8e-6, 1e-2, (360, 360), 40_000),
        ("camvid_pspnet_resnet18", 1, 8e-6, 1e-2, (360, 360), 40_000),
    ],
)
def test_published_hyper_parameters(name, kd, mimic, contrast, crop, iterations):
    recipe = load_recipe(f"{name}_af_dcd", TEACHER)
    assert recipe.terms["kd"].weight == kd
    assert recipe.terms["af_dcd"].weight == {"mimic": mimic, "contrast": contrast}
    assert recipe.data.crop_size == crop
    assert recipe.data.batch_size == 16
    assert recipe.train.iterations == iterations
    optim = recipe.optim
    assert (optim.name, optim.lr, optim.momentum, optim.weight_decay, optim.power) == ("sgd", 0.02, 0.9, 1e-4, 0.9)
    assert optim.clip_terms == 15
    assert optim.clip is None
    alone = load_recipe(name)
    assert alone.data == recipe.data
    assert alone.model == recipe.model
    assert alone.train == recipe.train


def test_base_and_overrides_are_merged_in_order(recipe_file):
    recipe_file(MINIMAL + "optim: {lr: 0.5, power: 2.0}", "parent")
    child = recipe_file("base: parent\noptim: {lr: 0.25}\n", "child")
    recipe = load_recipe(child, ["optim.power=3", "data.root=/x=y", "terms=null" if False else "seed=4"])
    assert (recipe.name, recipe.optim.lr, recipe.optim.power) == ("child", 0.25, 3.0)
    assert (recipe.data.root, recipe.seed) == ("/x=y", 4)


def test_a_null_term_takes_it_away():
    recipe = load_recipe("camvid_cpu", [*TEACHER, "terms.af_dcd=null"])
    assert list(recipe.terms) == ["kd"]


def test_exponents_are_numbers(recipe_file):
    recipe = load_recipe(recipe_file(MINIMAL + "optim: {lr: 1e-3}"), ["optim.weight_decay=1e-5"])
    assert (recipe.optim.lr, recipe.optim.weight_decay) == (1e-3, 1e-5)


def test_options_of_a_loss_stand_beside_its_weight():
    recipe = load_recipe("camvid_cpu", [*TEACHER, "terms.af_dcd.groups=8"])
    assert recipe.terms["af_dcd"].options["groups"] == 8
    assert recipe.terms["af_dcd"].layer == "layer4"


def test_kind():
    assert load_recipe("camvid_cpu_teacher").kind == "teacher"
    assert load_recipe("camvid_cpu_student").kind == "student"
    assert load_recipe("camvid_cpu", TEACHER).kind == "distilled"


@pytest.mark.parametrize(
    ("overrides", "match"),
    [
        (["optim.lrr=0.1"], r"`optim.lrr` is not a key of a recipe. Nearest names: lr"),
        (["trian.iterations=3"], r"`trian` is not a key of a recipe. Nearest names: train"),
        (["data.crop_szie=3"], "Nearest names: crop_size"),
        (["optim.lr=fast"], r"`optim.lr`: input should be a valid number.*got 'fast'"),
        (["optim.lr=-1"], r"`optim.lr`: input should be greater than 0; got -1"),
        (["optim.lr=.nan"], r"`optim.lr`"),
        (["train.iterations=0"], "greater than or equal to 1; got 0"),
        (["data.scale_range=[2,1]"], "must not fall"),
        (["data.batch_size=5", "train.accumulate=2"], "multiple of `train.accumulate`; got 5 and 2"),
        (["terms.kd.weight=1"], "`teacher` must be given"),
        (["name=../x"], "`name`"),
        (["optim"], "must be key=value; got 'optim'"),
        (["=3"], "must be key=value"),
        (["optim=[1"], "does not fit"),
    ],
)
def test_faults_are_one_sentence_with_the_nearest_names(recipe_file, overrides, match):
    with pytest.raises(RecipeError, match=match):
        load_recipe(recipe_file(MINIMAL), overrides)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("- 1\n- 2\n", "must be a mapping"),
        ("a: [1\n", "is not valid YAML"),
        ("data: {dataset: streets}\n", "`data.crop_size` must be given"),
        ("base: nowhere\n", "there is no recipe 'nowhere'"),
        ("base: mine\n", "does one name itself"),
        ("name: !!python/object/apply:os.system ['true']\n", "is not valid YAML"),
    ],
)
def test_faulty_files(recipe_file, text, match):
    with pytest.raises(RecipeError, match=match):
        load_recipe(recipe_file(text))


def test_unknown_recipe_names_the_nearest():
    with pytest.raises(RecipeError, match=r"no recipe 'camvid_cpuu'.*camvid_cpu"):
        load_recipe("camvid_cpuu")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe("nowhere/x.yaml")


def test_interpolation_is_not_carried_out(recipe_file):
    recipe = load_recipe(recipe_file(MINIMAL + 'description: "${oc.env:HOME}"'))
    assert recipe.description == "${oc.env:HOME}"


def test_a_recipe_cannot_be_changed():
    recipe = load_recipe("camvid_cpu_student")
    assert isinstance(recipe, Recipe)
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 3


@pytest.mark.parametrize(
    "term", ["terms.af_dcd={on: layer3}", "terms.af_dcd.on=layer3", "terms.af_dcd.teacher_on=layer3"]
)
def test_the_old_keys_of_a_term_end_in_a_sentence_that_says_the_new_one(term):
    with pytest.raises(RecipeError, match=r"`terms.af_dcd`: a term has no keys `on` .* Write `layer: NAME`"):
        load_recipe("demo", ["teacher.weights=RUN", term])


def test_a_file_with_an_old_key_does_too(tmp_path):
    (tmp_path / "old.yaml").write_text("base: demo\nmethods:\n  mine: {cwd: {on: head}}\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"`methods.mine.cwd`: a term has no keys `on`"):
        load_recipe(tmp_path / "old.yaml", ["teacher.weights=RUN"])


@pytest.mark.parametrize(
    ("text", "layer"),
    [("head", "head"), ("[a,b]", ["a", "b"]), ("[a,[b,c]]", ["a", ["b", "c"]]), ("null", None)],
)
def test_the_layer_of_a_term_is_what_python_takes(text, layer):
    assert load_recipe("demo", ["teacher.weights=RUN", f"terms.af_dcd.layer={text}"]).terms["af_dcd"].layer == layer


@pytest.mark.parametrize("text", ["5", "{a: b}", "[[a,b],3]"])
def test_another_layer_is_refused_in_one_sentence(text):
    with pytest.raises(RecipeError, match=r"demo: `terms.af_dcd.layer`: must be a name, or a list .*; got [^;]*\.$"):
        load_recipe("demo", ["teacher.weights=RUN", f"terms.af_dcd.layer={text}"])
