"""Recipes in a tiny mode, on generated data."""

import pytest
from tests.conftest import SMALL
from tests.data.fakes import (
    make_ade20k,
    make_camvid,
    make_cityscapes,
    make_coco_stuff,
    make_voc,
)

from segdistill.experiment.datasets import build_datasets
from segdistill.recipe.load import load_recipe
from segdistill.recipe.schema import TeacherConfig

TREES = {
    "ade20k": make_ade20k,
    "camvid": make_camvid,
    "cityscapes": make_cityscapes,
    "coco_stuff": make_coco_stuff,
    "voc": make_voc,
}
TINY = [f"model.name={SMALL}", "model.options={}", "model.options.output_stride=16", "model.pretrained=false",
        "data.crop_size=[64,64]", "data.batch_size=2", "data.num_workers=0"]  # fmt: skip


@pytest.fixture(scope="session")
def trees(tmp_path_factory):
    """Root of a small tree of every public data set, by name."""
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in TREES.items()}


@pytest.fixture
def tiny(trees, save_network):
    """A recipe in a tiny mode, on generated data; distillations get an untrained teacher of the right classes."""

    def make(name, *overrides):
        distils = name.endswith("_af_dcd") or name in ("demo", "camvid_cpu")
        recipe = load_recipe(name, [*TINY, *(["teacher.weights=X"] if distils else []), *overrides])
        if recipe.data.dataset in trees:
            recipe = recipe.model_copy(
                update={"data": recipe.data.model_copy(update={"root": str(trees[recipe.data.dataset])})}
            )
        if distils and recipe.teacher.weights == "X":
            labels = build_datasets(recipe)[0].labels
            recipe = recipe.model_copy(update={"teacher": TeacherConfig(weights=str(save_network(labels)))})
        return recipe

    return make
