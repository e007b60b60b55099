import pytest

from segdistill.recipe.load import change_recipe, load_recipe
from segdistill.util import RecipeError

MINE = """
data: {dataset: streets, crop_size: [32, 48], options: {num_images: 5}}
model: {name: deeplabv3_resnet18, options: {backbone: {channels: [8, 16]}}}
train: {iterations: 10}
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    return path


def test_an_empty_mapping_takes_away_what_the_base_had(mine, tmp_path):
    assert load_recipe(mine, ["data.options={}"]).data.options == {}
    assert load_recipe(mine, ["model.options={}"]).model.options == {}
    assert load_recipe(mine, ["data.options=null"]).data.options == {}
    child = tmp_path / "child.yaml"
    child.write_text("base: mine\ndata: {options: {}}\n")
    recipe = load_recipe(child)
    assert (recipe.data.options, recipe.data.dataset) == ({}, "streets")
    assert load_recipe("demo", ["teacher.weights=RUN", "terms={}", "terms.kd.weight=2"]).terms.keys() == {"kd"}


def test_a_mapping_that_is_not_empty_is_merged_and_overrides_come_one_after_the_other(mine):
    recipe = load_recipe(mine, ["data.options.size=[32,48]"])
    assert recipe.data.options == {"num_images": 5, "size": [32, 48]}
    assert load_recipe(mine, ["data.options={}", "data.options.size=[8,8]"]).data.options == {"size": [8, 8]}
    assert change_recipe(recipe, {}, ["data.options={}"]).data.options == {}


def test_a_recipe_that_is_loaded_is_a_source_too(mine):
    recipe = load_recipe(mine)
    assert load_recipe(recipe) is recipe
    assert load_recipe(recipe, ["seed=3"]) == load_recipe(mine, ["seed=3"])


@pytest.mark.parametrize("name", ["mien.yaml", "min.yml"])
def test_a_misspelt_file_names_the_one_beside_it(mine, name):
    with pytest.raises(RecipeError, match=r"cannot be read .* Nearest names: mine\.yaml"):
        load_recipe(mine.with_name(name))


def test_a_name_that_is_none_names_the_file_in_this_folder(mine, monkeypatch):
    monkeypatch.chdir(mine.parent)
    with pytest.raises(RecipeError, match=r"there is no recipe 'mine'. Nearest names: mine\.yaml"):
        load_recipe("mine")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3,), "`recipe` must be a name, a YAML file or a Recipe; got 3"),
        ((None,), "`recipe` must be a name, a YAML file or a Recipe; got None"),
        (("demo", "seed=3"), r"`overrides` must be a list of texts, for example \[.optim.lr=0.01.\]; got 'seed=3'"),
        (("demo", [3]), "`overrides` must be a list of texts"),
    ],
)
def test_arguments_of_another_kind_are_a_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_recipe(*arguments)
