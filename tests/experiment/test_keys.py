import pytest
from tests.experiment.settings import TINY

from segdistill.experiment.keys import about, keys_of_terms
from segdistill.experiment.session import build
from segdistill.recipe import load_recipe
from segdistill.util import ArgumentError, DatasetNotFoundError, RecipeError, WeightsError


def test_an_error_gets_the_key_of_the_recipe():
    keys = {"name": "model.name", "features": "model.features"}
    with pytest.raises(RecipeError, match=r"^`model\.features\['a'\]` must name a layer\.$"), about(keys):
        raise ArgumentError("`features['a']` must name a layer.")
    with pytest.raises(RecipeError, match=r"^`model`: `names` must differ\.$"), about(keys, otherwise="model"):
        raise WeightsError("`names` must differ.")
    for error in (WeightsError("`x`"), RecipeError("`name`"), DatasetNotFoundError("`name`"), KeyError("name")):
        with pytest.raises(type(error)) as caught, about(keys):
            raise error
        assert caught.value is error


def test_an_option_that_two_terms_have_is_not_guessed():
    terms = load_recipe("demo", ["teacher.weights=X", "terms.kd.temperature=2"]).terms
    assert "temperature" not in keys_of_terms(terms)
    assert keys_of_terms(terms)["pool_size"] == "terms.af_dcd.pool_size"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.name=x", "`model.name` must begin with a head"),
        ("model.pretrained=/none", "`model.pretrained`: /none does not exist"),
        ("model.features={deep: x}", r"`model.features\['deep'\]` must name a feature or a layer of the student"),
        ("teacher.weights=/none", "`teacher.weights`: /none does not exist"),
        (
            "teacher.weights=x.pth",
            "`teacher.weights`: x.pth does not say which network it is. Give its source and name",
        ),
        ("teacher.features={deep: x}", r"`teacher.features\['deep'\]` must name a feature or a layer of the teacher"),
        ("terms.af_dcd.groups=9", "`terms.af_dcd.groups` must divide"),
        ("data.options.num_images=0", "`data.options.num_images` must be at least 1"),
    ],
)
def test_what_is_wrong_in_a_recipe_is_named_by_its_key(save_network, override, message):
    recipe = load_recipe("demo", [*TINY, f"teacher.weights={save_network()}", override])
    with pytest.raises(RecipeError, match=f"^{message}"):
        build(recipe)
