import pytest
import torch
from tests.data.fakes import (
    make_folder,
    write_image,
    write_mask,
)

from segdistill.data import Prepared, prepare
from segdistill.experiment.datasets import build_dataset, build_datasets, build_sources
from segdistill.experiment.session import build
from segdistill.recipe.load import load_recipe
from segdistill.util import DatasetNotFoundError, RecipeError


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("cityscapes_teacher", []),
        ("voc_teacher", []),
        ("camvid_teacher", []),
        ("ade20k_teacher", []),
        ("coco_stuff_teacher", ["evaluate.protocol=paper"]),
    ],
)
def test_a_prepared_cache_takes_the_place_of_the_files(name, overrides, tiny, tmp_path):
    write_image(tmp_path / "more/a.png")
    recipe = tiny(name, f"data.unlabelled={tmp_path / 'more'}", *overrides)
    prepare(build_sources(recipe), tmp_path / "cache")
    cached = recipe.model_copy(update={"data": recipe.data.model_copy(update={"cache": str(tmp_path / "cache")})})
    found, expected = build(cached), build(recipe)
    for ours, theirs in zip(found[1:4], expected[1:4], strict=True):
        assert (ours is None) == (theirs is None)
        for index in range(0 if theirs is None else len(theirs)):
            assert all(torch.equal(a, b) for a, b in zip(ours.load(index), theirs.load(index), strict=True))
    assert isinstance(found.val_set, Prepared)
    assert found.labels == expected.labels


def test_an_option_that_the_data_set_misses_is_named(tmp_path):
    data = load_recipe("demo_student", ["data.dataset=folder", f"data.root={make_folder(tmp_path, listed=False)}"])
    with pytest.raises(RecipeError, match=r"`data.options.num_\w+` is not an option of Folder"):
        build_dataset(data.data, "train")


@pytest.mark.parametrize("name", ["camvid_cpu_teacher", "voc_teacher"])
def test_a_missing_root_is_an_error_that_says_what_to_add(name):
    with pytest.raises(RecipeError, match=r"`data.root` must be the folder .* got null. Add data.root=FOLDER"):
        build(load_recipe(name, ["data.root=null"]))
    with pytest.raises(DatasetNotFoundError, match="nowhere"):
        build(load_recipe(name, ["data.root=nowhere"]))


def splits(recipe):
    return [dataset and dataset.split for dataset in build_datasets(recipe)]


def test_weights_are_chosen_on_val_and_under_the_paper_protocol_on_test(tiny):
    assert splits(tiny("camvid_deeplabv3_resnet18")) == ["train", "val", "test"]
    assert splits(tiny("camvid_deeplabv3_resnet18", "evaluate.protocol=paper")) == ["train", "test", None]
    assert splits(tiny("voc_teacher", "evaluate.protocol=paper")) == ["train", "val", None]
    assert splits(tiny("demo_student", "data.val_split=null")) == ["train", None, None]


def test_coco_stuff_has_171_classes_and_182_under_the_paper_protocol(tiny):
    assert build_datasets(tiny("coco_stuff_teacher"))[0].labels.num_classes == 171
    paper = tiny("coco_stuff_teacher", "evaluate.protocol=paper")
    assert [dataset.labels.num_classes for dataset in build_datasets(paper)[:2]] == [182, 182]
    chosen = tiny("coco_stuff_teacher", "evaluate.protocol=paper", "data.options={classes: 171}")
    assert build_datasets(chosen)[0].labels.num_classes == 171


def test_a_list_of_unlabelled_images_names_files_of_the_folder_of_images(tmp_path):
    for name in "abcd":
        write_image(tmp_path / f"photos/{name}.png")
    for name in "ab":
        write_mask(tmp_path / f"masks/{name}.png", [0, 1])
    for split, names in (("train", "a"), ("val", "b"), ("more", "dc")):
        (tmp_path / f"{split}.txt").write_text("\n".join(names))
    settings = ["data.dataset=folder", f"data.root={tmp_path}", f"data.unlabelled={tmp_path / 'more.txt'}",
                "data.options=null", "data.options={images: photos, classes: [x, y]}"]  # fmt: skip
    built = build(load_recipe("demo_student", settings))
    assert [built.train_set.path(index).name for index in range(3)] == ["a.png", "d.png", "c.png"]


def test_a_group_in_two_splits_is_refused_also_from_a_cache(tmp_path):
    for name in ("d1_0", "d1_1", "d2_0", "d3_0"):
        write_image(tmp_path / f"images/{name}.png")
        write_mask(tmp_path / f"masks/{name}.png", [0, 1])
    (tmp_path / "train.txt").write_text("d1_0\nd2_0\n")
    settings = ["data.dataset=folder", f"data.root={tmp_path}", "data.options=null",
                "data.options={classes: [x, y], group: '{group}_*'}"]  # fmt: skip
    recipe = load_recipe("demo_student", settings)
    (tmp_path / "val.txt").write_text("d3_0\n")
    build_datasets(recipe)
    (tmp_path / "val.txt").write_text("d3_0\nd1_1\n")
    told = r"`data.options.group` must keep each group in one split; train and val share 1 of 3: `d1`. Correct"
    with pytest.raises(RecipeError, match=told):
        build_datasets(recipe)
    prepare(build_sources(recipe), tmp_path / "cache")
    with pytest.raises(RecipeError, match=told):
        build_datasets(load_recipe("demo_student", [*settings, f"data.cache={tmp_path / 'cache'}"]))
