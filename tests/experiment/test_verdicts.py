"""Labels that would give a good-looking score are refused, by `check` and before a run."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.fakes import HEIGHT, WIDTH, make_coco_stuff, make_folder, truncate, write_image, write_mask

import segdistill as sd
from segdistill.data import Folder, scan
from segdistill.experiment.checking import NUM_SAMPLED
from segdistill.experiment.verdicts import judge_labels
from segdistill.labels import LabelTable
from segdistill.recipe.load import load_recipe
from segdistill.util import ArgumentError

RUN = ["train.iterations=1", "train.device=cpu", "train.gallery=0", "data.batch_size=2"]


def own(root, *overrides):
    settings = ["data.dataset=folder", "data.options=null", f"data.root={root}", "data.crop_size=[24,32]"]
    return load_recipe("demo_student", [*settings, *RUN, *overrides])


def masks(root, *splits):
    return [path for split in splits or ("train", "val") for path in sorted((root / split / "masks").iterdir())]


def fill(root, ids, *splits):
    for seed, path in enumerate(masks(root, *splits)):
        write_mask(path, ids, seed=seed)


def kinds(checkup, *, fatal=True):
    found = [finding.kind for finding in checkup.findings if finding.fatal == fatal]
    return [kind for kind in found if kind not in ("same-picture", "crop-size")]


def refused(recipe, tmp_path, text):
    with pytest.raises(ArgumentError, match=text):
        sd.train(recipe, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.fixture
def root(tmp_path):
    """Two splits of three images and three classes; the pictures of both differ."""
    root = make_folder(tmp_path / "data")
    for index in range(3):
        write_image(root / f"val/images/scene{index}.jpg", seed=50 + index)
    return root


def test_a_sound_folder_is_ready(root):
    checkup = sd.check(own(root))
    assert (checkup.findings, checkup.verdict) == ([], "ready")


@pytest.mark.parametrize(("high", "fate"), [(255, "ignored"), (128, "no class")])
def test_masks_of_two_values_far_apart(root, tmp_path, high, fate):
    (root / "classes.txt").write_text("background\nobject\n")
    fill(root, [0, high])
    checkup = sd.check(own(root))
    assert kinds(checkup) == ["two-values"]
    assert f"6 of 6 masks hold nothing but 0 and {high}" in checkup.problems[0]
    assert f"{high} is {fate}" in checkup.problems[0]
    assert f"`data.options.labels: {{background: 0, object: {high}}}`" in checkup.problems[0]
    refused(own(root), tmp_path, f"nothing but 0 and {high}")


def test_some_masks_of_0_and_255_are_warned_of(root):
    write_mask(masks(root)[0], [0, 255])
    checkup = sd.check(own(root))
    assert (kinds(checkup), kinds(checkup, fatal=False)) == ([], ["two-values"])


def test_void_as_a_number_is_told_once_with_its_option(root, tmp_path):
    fill(root, [0, 1, 2, 11])
    checkup = sd.check(own(root))
    assert kinds(checkup) == ["unknown-id"]
    text = checkup.problems[0]
    assert text.startswith("6 of 6 masks contain the value 11 (for example ")
    assert "the class list names 0-2. If 11 means void, set `data.options.ignore: [11]`; otherwise add a name." in text
    refused(own(root), tmp_path, "6 of 6 masks contain the value 11")
    assert kinds(sd.check(own(root, "data.options.ignore=[11]"))) == []


def test_negative_values_are_told_too(root):
    values = np.full((HEIGHT, WIDTH), 1, dtype=np.int32)
    values[0] = -1
    masks(root)[0].unlink()
    Image.fromarray(values).save(root / "train/masks/scene0.tif")
    checkup = sd.check(own(root))
    assert "1 of 6 masks contain the value -1" in checkup.problems[0]
    assert "Save void as 255" in checkup.problems[0]


def test_many_values_are_one_finding(root):
    fill(root, [0, 1, 2, *range(100, 140)])
    checkup = sd.check(own(root))
    assert kinds(checkup) == ["unknown-id"]
    assert "6 of 6 masks contain 40 values that the class list does not have: 100, 101" in checkup.problems[0]


def test_files_of_the_same_fault_are_one_finding(root):
    checkup = sd.check(own(root, "data.channels=4"))
    assert kinds(checkup).count("file") == 1
    assert "scene0" in checkup.problems[0]
    assert "; so it is with 5 other files: " in checkup.problems[0]
    truncate(root / "val/images/scene2.jpg")
    assert kinds(sd.check(own(root, "data.channels=4"))).count("file") == 2


def test_a_class_that_no_pixel_has(root, tmp_path):
    (root / "classes.txt").write_text("a\nb\nc\nnever\n")
    checkup = sd.check(own(root))
    assert kinds(checkup) == ["absent-class"]
    assert "No pixel of any split is `never` (1 class of 4, value 3)" in checkup.problems[0]
    assert "`data.options.ignore: [3]`" in checkup.problems[0]
    refused(own(root), tmp_path, "No pixel of any split is `never`")
    assert kinds(sd.check(own(root, "data.options.ignore=[3]"))) == []


def test_a_class_that_one_split_lacks_is_warned_of(root):
    fill(root, [0, 1], "train")
    checkup = sd.check(own(root))
    assert (kinds(checkup), kinds(checkup, fatal=False)) == ([], ["absent-in-split"])
    assert "train has no pixel of `class 2`, which another split has: it cannot be learned." in checkup.warnings[0]


def test_a_run_reads_all_images_before_it_says_that_a_class_is_nowhere(tmp_path):
    root = make_folder(tmp_path / "data", num_images=NUM_SAMPLED + 4)
    fill(root, [0, 1])
    rare = masks(root, "train")[1]  # which an even sample does not see
    write_mask(rare, [0, 1, 2])
    sd.train(own(root), out=tmp_path / "run")
    write_mask(rare, [0, 1])
    refused(own(root), tmp_path / "other", "No pixel of any split is `class 2`")


def test_a_single_class(tmp_path):
    root = make_folder(tmp_path / "data", num_classes=1)
    assert "at least two classes" in sd.check(own(root)).problems[0]
    refused(own(root), tmp_path, "background is a class too")


def test_a_single_class_of_a_data_set_in_code(tmp_path):
    report = scan(Folder(make_folder(tmp_path, num_classes=2), "train"))
    report = report._replace(histogram=torch.tensor([9]), missing_classes=[])
    found = judge_labels({"train": report}, LabelTable.from_names(["road"]), own=True)
    assert [finding.kind for finding in found if finding.fatal] == ["single-class"]


def test_a_split_without_a_labelled_pixel(root, tmp_path):
    fill(root, [255], "val")
    assert kinds(sd.check(own(root))) == ["unlabelled-split"]
    refused(own(root), tmp_path, "val has no labelled pixel")


def test_many_images_without_a_labelled_pixel_are_warned_of(root):
    write_mask(masks(root, "train")[0], [255])
    checkup = sd.check(own(root))
    assert (kinds(checkup), kinds(checkup, fatal=False)) == ([], ["unlabelled-images"])
    assert "`data.unlabelled`" in checkup.warnings[0]


def test_classes_of_a_public_list_may_be_absent(tmp_path):
    root = make_coco_stuff(tmp_path)
    recipe = load_recipe("demo_student", ["data.dataset=coco_stuff", "data.options=null", f"data.root={root}",
                                          "evaluate.protocol=paper", *RUN])  # fmt: skip
    checkup = sd.check(recipe)
    assert kinds(checkup) == []
    assert "absent-class" in kinds(checkup, fatal=False)


def test_crops_that_no_image_fills(root):
    checkup = sd.check(own(root, "data.crop_size=[96,160]", "data.scale_range=[0.5,2.0]"))
    assert [finding.kind for finding in checkup.findings] == ["crop-size"]
    assert "Crops of 96x160 are larger than every training image" in checkup.warnings[0]
    assert "Set `data.crop_size` to [24, 40] or less." in checkup.warnings[0]
    assert sd.check(own(root, "data.crop_size=[48,80]", "data.scale_range=[0.5,2.0]")).findings == []


def test_a_picture_in_two_splits(root):
    write_image(root / "val/images/scene1.jpg", seed=2)
    checkup = sd.check(own(root))
    assert [finding.kind for finding in checkup.findings] == ["same-picture"]
    assert "1 picture of val is in train too" in checkup.warnings[0]
    assert f"{root}/train/images/scene2.jpg and {root}/val/images/scene1.jpg" in checkup.warnings[0]


def test_the_checkup_as_json(root):
    fill(root, [0, 1, 2, 11], "val")
    checkup = sd.check(own(root))
    found = json.loads(json.dumps(checkup.as_json()))
    assert found["ready"] is False
    assert found["verdict"].startswith("not ready: 2 things to mend first") or "1 thing" in found["verdict"]
    assert found["findings"][0]["kind"] == "unknown-id"
    assert set(found["splits"]) == {"train", "val"}
    assert found["splits"]["train"]["images"] == 3


def test_the_checkup_counts_pixels(root):
    frame = sd.check(own(root)).frame()
    assert sum(row["pixels"] for row in frame) == 6 * HEIGHT * WIDTH
    assert torch.tensor([row["share"] for row in frame if row["split"] == "val"]).sum() == pytest.approx(1)
