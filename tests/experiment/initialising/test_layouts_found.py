"""Every layout becomes recipes that load and pass the check."""

import shutil

import numpy as np
import pytest
from PIL import Image
from tests.data import fakes
from tests.data.fakes import write_image, write_mask

import segdistill as sd
from segdistill.experiment.datasets import unlabelled_source
from segdistill.recipe import load_recipe

SMALL = ["model.pretrained=false", "model.name=deeplabv3_mobilenetv2_035", "data.num_workers=1"]


def begin(root, tmp_path):
    """Write recipes for a folder and read them back."""
    begun = sd.init(root, tmp_path / "out")
    student, teacher, distilled = (load_recipe(path) for path in begun.files)
    assert (student.kind, teacher.kind, distilled.kind) == ("student", "teacher", "distilled")
    assert student.data == teacher.data == distilled.data
    assert 1 <= len(begun.found) + len(begun.open) <= 8
    return begun, student


def good(root, tmp_path):
    """The same, and hold that the student's recipe has nothing to mend."""
    begun, student = begin(root, tmp_path)
    assert begun.open == []
    checkup = sd.check(begun.files[0], overrides=SMALL)
    assert checkup.problems == []
    return begun, student.data, checkup


def make_split(root, images, masks, *, count=4, splits=("train", "val"), ids=range(3)):
    for split in splits:
        for index in range(count):
            write_image(root / images.format(split) / f"{split}{index}.jpg", index)
            write_mask(root / masks.format(split) / f"{split}{index}.png", ids, index)
    (root / "classes.txt").write_text("a\nb\nc\n")
    return root


@pytest.mark.parametrize("split_first", [True, False])
def test_a_folder_a_split_needs_no_option(tmp_path, split_first):
    begun, data, checkup = good(fakes.make_folder(tmp_path / "d", split_first=split_first), tmp_path)
    assert (data.dataset, data.options, data.test_split) == ("folder", {}, None)
    assert begun.found["classes"] == "3, named by classes.txt"
    assert begun.found["images"] == "train 3, val 3"
    assert [report.num_samples for report in checkup.splits.values()] == [3, 3]


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("{}_images", "{}_masks"),
        ("{}/img", "{}/gt"),
        ("pictures/{}", "annotations/{}"),
        ("{}", "{}annot"),
    ],
)
def test_folders_of_other_names_are_found_by_their_files(tmp_path, images, masks):
    _, data, checkup = good(make_split(tmp_path / "d", images, masks), tmp_path)
    assert data.options["images"] == images.replace("{}", "{split}")
    assert data.options["masks"] == masks.replace("{}", "{split}")
    assert len(checkup.splits) == 2


def test_splits_of_other_names_are_named(tmp_path):
    root = make_split(tmp_path / "d", "images/{}", "labels/{}", splits=("training", "validation", "testing"))
    _, data, checkup = good(root, tmp_path)
    assert (data.train_split, data.val_split, data.test_split) == ("training", "validation", "testing")
    assert data.options == {}
    assert len(checkup.splits) == 3


def test_one_pair_with_lists(tmp_path):
    root = fakes.make_flat(tmp_path / "d", count=8, images="photos", lists=True)
    write_image(root / "photos/extra.jpg")
    (root / "unlabelled.txt").write_text("extra\n")
    begun, data, checkup = good(root, tmp_path)
    assert data.options == {"images": "photos"}
    assert begun.found["no mask"].startswith("1 image beside those of the splits (1 of them in unlabelled.txt)")
    assert [report.num_samples for report in checkup.splits.values()] == [6, 2]
    proposal = f"unlabelled: {root / 'unlabelled.txt'}"
    assert f"# proposal: {proposal}" in " ".join(begun.files[0].read_text().split())
    taken = load_recipe(str(begun.files[0]), [f"data.{proposal.replace(': ', '=')}"])
    assert unlabelled_source(taken.data).dataset.path(0).name == "extra.jpg"


def test_a_list_with_images_of_a_split_is_not_proposed_as_unlabelled(tmp_path):
    root = fakes.make_flat(tmp_path / "d", count=8, images="photos", lists=True)
    write_image(root / "photos/extra.jpg")
    (root / "everything.txt").write_text(f"extra\n{(root / 'val.txt').read_text()}")
    begun, _, _ = good(root, tmp_path)
    assert "unlabelled" not in begun.files[0].read_text()
    assert begun.found["no mask"].startswith("1 image beside those of the splits;")


def test_lists_of_other_names(tmp_path):
    root = fakes.make_flat(tmp_path / "d", count=8, lists=True)
    (root / "lists").mkdir()
    for split in ("train", "val"):
        shutil.move(root / f"{split}.txt", root / f"lists/{split}_set.txt")
    _, data, _ = good(root, tmp_path)
    assert data.options == {"lists": "lists/{split}_set.txt"}


def test_one_pair_without_lists_is_split_by_shares(tmp_path):
    begun, data, checkup = good(fakes.make_flat(tmp_path / "d", count=10), tmp_path)
    assert set(data.options) <= {"shares", "split_seed"}
    assert sum(report.num_samples for report in checkup.splits.values()) == 10
    assert "# proposal: no split is said" in begun.files[0].read_text()


def test_train_alone_is_split_by_shares(tmp_path):
    _, data, checkup = good(make_split(tmp_path / "d", "{}/images", "{}/masks", splits=("train",), count=9), tmp_path)
    assert (data.options["images"], data.options["masks"]) == ("train/images", "train/masks")
    assert list(checkup.splits) == ["train", "val"]


@pytest.mark.parametrize(("image_ending", "mask_ending"), [("", "_mask"), ("_image", "_label")])
def test_endings_that_the_data_set_finds_are_left_out(tmp_path, image_ending, mask_ending):
    root = fakes.make_flat(tmp_path / "d", count=9, image_ending=image_ending, mask_ending=mask_ending)
    _, data, _ = good(root, tmp_path)
    assert set(data.options) <= {"shares", "split_seed"}


def test_folders_that_are_links(tmp_path):
    made = fakes.make_folder(tmp_path / "made", split_first=False)
    (tmp_path / "d").mkdir()
    for name in ("images", "masks", "classes.txt"):
        (tmp_path / "d" / name).symlink_to(made / name)
    (tmp_path / "d/loop").symlink_to(tmp_path / "d")
    _, data, _ = good(tmp_path / "d", tmp_path)
    assert data.options == {}


def test_of_two_endings_that_with_ids_is_taken(tmp_path):
    root = fakes.make_flat(tmp_path / "d", count=9, mask_ending="_ids")
    for index in range(9):
        write_image(root / f"masks/a_{index}_colour.png", index)
    _, data, _ = good(root, tmp_path)
    assert data.options["mask_ending"] == "_ids"


@pytest.mark.parametrize("ending", ["", "_mask"])
def test_images_and_masks_in_one_folder(tmp_path, ending):
    root = fakes.make_flat(tmp_path / "d", count=9, images="all", masks="all", mask_ending=ending)
    begun, _, checkup = good(root, tmp_path)
    assert sum(report.num_samples for report in checkup.splits.values()) == 9
    assert "no mask" not in begun.found


def test_an_export_of_cvat(tmp_path):
    begun, data, _ = good(fakes.make_cvat(tmp_path / "d"), tmp_path)
    assert set(data.options) <= {"shares", "split_seed"}
    assert begun.found["classes"] == "3 colours, named by labelmap.txt"
    assert begun.found["no mask"].startswith("1 image beside")


@pytest.mark.parametrize(
    ("make", "name", "classes"),
    [
        (fakes.make_camvid, "camvid", 11),
        (fakes.make_cityscapes, "cityscapes", 19),
        (fakes.make_ade20k, "ade20k", 150),
        (fakes.make_coco_stuff, "coco_stuff", 171),
        (fakes.make_voc, "voc", 21),
    ],
)
def test_public_data_sets_are_known(tmp_path, make, name, classes):
    begun, data, _ = good(make(tmp_path / "d"), tmp_path)
    assert data.dataset == begun.dataset == name
    assert begun.found["classes"].startswith(f"{classes}, those of ")
    assert data.test_split == ("test" if name == "camvid" else None)


def test_own_classes_in_the_folders_of_a_public_data_set(tmp_path):
    _, data, _ = good(make_split(tmp_path / "d", "{}", "{}annot"), tmp_path)
    assert data.dataset == "folder"


def test_voc_without_the_augmented_masks(tmp_path):
    root = fakes.make_voc(tmp_path / "d", train_list=True)
    shutil.rmtree(root / "SegmentationClass")
    (root / "SegmentationClassAug").rename(root / "SegmentationClass")
    lists = root / "ImageSets/Segmentation"
    (lists / "train_aug.txt").rename(lists / "train.txt")
    begun, data, _ = good(root, tmp_path)
    assert data.dataset == "folder"
    assert data.options["classes"][0] == "background"
    assert begun.found["classes"] == "21, named by Pascal VOC"


def test_a_folder_that_holds_one_folder_is_opened(tmp_path):
    fakes.make_folder(tmp_path / "d/inner")
    _, data, _ = good(tmp_path / "d", tmp_path)
    assert data.root == str(tmp_path / "d/inner")


def test_a_folder_of_images_without_masks_is_proposed_as_unlabelled(tmp_path):
    root = fakes.make_folder(tmp_path / "d")
    for index in range(5):
        write_image(root / f"more/{index}.jpg", index)
    begun, _, _ = good(root, tmp_path)
    assert begun.found["no mask"] == f"5 images in {root}/more"
    assert f"# proposal: unlabelled: {root}/more" in " ".join(begun.files[0].read_text().split())


def test_frames_of_few_drives_are_proposed_as_groups(tmp_path):
    names = [f"{drive}_{index}" for drive in "abcd" for index in range(4)]
    begun, _, _ = good(fakes.make_flat(tmp_path / "d", names=names), tmp_path)
    assert '# proposal: group: "{group}_*"' in begun.files[0].read_text()


def test_large_images_and_their_numbers(tmp_path):
    for index in range(3):
        image = Image.fromarray(np.random.default_rng(index).integers(0, 255, (600, 2100, 3), dtype=np.uint8))
        for split in ("train", "val"):
            (tmp_path / f"d/{split}/images").mkdir(parents=True, exist_ok=True)
            image.save(tmp_path / f"d/{split}/images/{index}.jpg")
            write_mask(tmp_path / f"d/{split}/masks/{index}.png", range(2), index, size=(600, 2100))
    begun, student = begin(tmp_path / "d", tmp_path)
    assert student.data.crop_size == (512, 512)
    assert (student.data.batch_size, student.train.iterations) == (2, 2000)
    assert "# proposal: image_scale: 0.5" in begun.files[0].read_text()


def test_an_export_of_roboflow(tmp_path):
    root = make_split(tmp_path / "d", "{}", "{}", splits=("train", "valid", "test"))
    (root / "classes.txt").unlink()
    for split in ("train", "valid", "test"):
        for mask in (root / split).glob("*.png"):
            mask.rename(mask.with_name(f"{mask.stem}_mask.png"))
        (root / split / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, cat\n2, dog\n")
    begun, data, _ = good(root, tmp_path)
    assert (data.val_split, data.test_split, data.options["mask_ending"]) == ("valid", "test", "_mask")
    assert begun.found["classes"] == "3, named by train/_classes.csv"


def test_images_of_several_cities_belong_together(tmp_path):
    for split in ("train", "val"):
        for city in ("x", "y"):
            for index in range(3):
                write_image(tmp_path / f"d/rgb/{split}/{city}/{city}{index}_rgb.jpg", index)
                write_mask(tmp_path / f"d/sem/{split}/{city}/{city}{index}_id.png", range(3), index)
                write_image(tmp_path / f"d/sem/{split}/{city}/{city}{index}_color.png", index)
    begun, data, checkup = good(tmp_path / "d", tmp_path)
    assert (data.options["images"], data.options["masks"]) == ("rgb/{split}", "sem/{split}")
    assert [report.num_samples for report in checkup.splits.values()] == [6, 6]
    assert "no mask" not in begun.found


def test_further_masks_of_the_same_images_are_said(tmp_path):
    root = fakes.make_flat(tmp_path / "d", count=9)
    for index in range(9):
        write_mask(root / f"labels/a_{index}.png", range(5), index)
    begun, _, _ = good(root, tmp_path)
    assert begun.found["or"] == "other masks fit these images too: masks: labels"
    assert "# proposal: masks: labels" in begun.files[0].read_text()


def test_pairs_that_one_recipe_cannot_name_are_said(tmp_path):
    for scene, images in (("a", "images"), ("b", "photos"), ("c", "pictures")):
        fakes.make_flat(tmp_path / "d" / scene, names=[f"{scene}{index}" for index in range(5)], images=images)
    begun, _ = begin(tmp_path / "d", tmp_path)
    assert begun.open == ["further pairs are left out: b/photos, c/pictures; put all into one pair of folders"]


def test_images_of_further_splits_are_not_unlabelled(tmp_path):
    for part in ("", "_more"):
        make_split(tmp_path / "d", f"{{}}{part}/images", f"{{}}{part}/masks")
    begun, _ = begin(tmp_path / "d", tmp_path)
    assert begun.open == ["further pairs are left out: {split}_more/images; put all into one pair of folders"]
    assert "unlabelled" not in begun.files[0].read_text()


def test_a_test_folder_without_masks_is_unlabelled(tmp_path):
    root = make_split(tmp_path / "d", "{}", "{}_masks", splits=("train",), count=9)
    for index in range(3):
        write_image(root / f"test/{index}.jpg", index)
    begun, data, _ = good(root, tmp_path)
    assert data.options["images"] == "train"
    assert begun.found["no mask"] == f"3 images in {root}/test"
