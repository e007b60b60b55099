"""`folder` reads a pair of folders in every scene: names that repeat, splits that keep a scene whole, faults."""

import shutil

import pytest
from tests.data.fakes import make_scenes, write_mask
from tests.data.sets.test_folder_layouts import FolderContract

from segdistill.data import Folder, scan
from segdistill.util import DataError, DatasetNotFoundError

SCENES = {"images": "*/rgb", "masks": "*/label"}


class TestScenes(FolderContract):
    make = staticmethod(lambda root: make_scenes(root, "abcdefgh"))
    options = SCENES | {"shares": {"val": 0.3}, "group": "{group}/*"}
    counts = {"train": 15, "val": 9}


class TestScenesOfASplit(FolderContract):
    make = staticmethod(lambda root: make_scenes(root, ["train/a", "train/b", "val/a"]))
    options = {"images": "{split}/*/rgb", "masks": "{split}/*/label"}
    counts = {"train": 6, "val": 3}


def scenes_of(dataset):
    return {image.parents[1].name for image, _ in dataset.samples}


def test_an_image_and_its_mask_are_of_one_scene(tmp_path):
    make_scenes(tmp_path / "train")
    shutil.move(tmp_path / "train/classes.txt", tmp_path)
    dataset = Folder(tmp_path, **SCENES)  # a folder a split needs no {split}
    assert len(dataset) == 12
    assert all((image.parents[1], image.name) == (mask.parents[1], mask.name) for image, mask in dataset.samples)
    assert list(dataset.samples) == sorted(dataset.samples)
    assert dataset.unpaired == []


def test_a_group_keeps_a_scene_on_one_side(tmp_path):
    make_scenes(tmp_path, "abcdefgh")
    options = SCENES | {"shares": {"val": 0.3}, "group": "{group}/*"}
    train, val = (Folder(tmp_path, split, **options) for split in ("train", "val"))
    assert scenes_of(train) | scenes_of(val) == {*"abcdefgh"}
    assert not scenes_of(train) & scenes_of(val)
    assert (train.groups, val.groups) == (scenes_of(train), scenes_of(val))


@pytest.mark.parametrize("line", ["{0}/rgb/{1}", "{0}/rgb/{1}.png", "{0}/{1}", "{0}/{1}.png"])
@pytest.mark.parametrize("mask", ["", "\t{0}/label/{1}.png", " {0}/{1}.png"])
def test_lists_name_files_or_keys(tmp_path, line, mask):
    make_scenes(tmp_path)
    names = [("a", "0001"), ("d", "0001"), ("d", "0002")]
    (tmp_path / "train.txt").write_text("".join((line + mask).format(*name) + "\n" for name in names))
    dataset = Folder(tmp_path, **SCENES)
    assert [(image.parents[1].name, image.stem) for image, _ in dataset.samples] == names
    assert scan(dataset).faults == []


def test_what_a_list_names_and_is_not_there(tmp_path):
    make_scenes(tmp_path)
    (tmp_path / "train.txt").write_text("a/0001\nb/0009\n")
    (fault,) = scan(Folder(tmp_path, **SCENES)).faults
    assert (fault.path, fault.problem) == (tmp_path / "b/rgb/0009.png", "does not exist")


def test_missing_and_further_masks_are_named(tmp_path):
    make_scenes(tmp_path)
    (tmp_path / "b/label/0001.png").unlink()
    (tmp_path / "c/rgb/0002.png").unlink()
    dataset = Folder(tmp_path, shares={"none": 1e-9}, **SCENES)
    assert dataset.unpaired == [tmp_path / "c/label/0002.png"]
    assert tmp_path / "b/label/0001.png" in [fault.path for fault in scan(dataset).faults]


def test_images_of_a_scene_without_a_folder_of_masks_are_faults(tmp_path):
    make_scenes(tmp_path)
    shutil.rmtree(tmp_path / "d/label")
    faults = scan(Folder(tmp_path, shares={"none": 1e-9}, **SCENES)).faults
    assert [(fault.path, fault.problem) for fault in faults] == [
        (tmp_path / f"d/label/{frame:04d}.png", "does not exist") for frame in range(3)
    ]


def test_endings_are_found_over_all_scenes(tmp_path):
    make_scenes(tmp_path, mask_ending="_ids")
    dataset = Folder(tmp_path, shares={"none": 1e-9}, **SCENES)
    assert scan(dataset).faults == []
    for scene in "abcd":
        write_mask(tmp_path / f"{scene}/label/0000_more.png", range(3))
    assert len(Folder(tmp_path, shares={"none": 1e-9}, **SCENES)) == 12


def test_names_that_do_not_pair(tmp_path):
    make_scenes(tmp_path)
    for mask in tmp_path.glob("*/label/*"):
        mask.rename(mask.with_name(f"x{mask.name}"))
    with pytest.raises(
        DataError, match=r"/\*/label` must hold the masks of 12 images, named like them \(a/0000\.png\)"
    ):
        Folder(tmp_path, shares={"none": 1e-9}, **SCENES)


@pytest.mark.parametrize("images", ["*", "."])
def test_images_and_masks_in_the_folder_of_the_scene(tmp_path, images):
    make_scenes(tmp_path, images=".", masks=".", mask_ending="_mask")
    options = {"images": images, "masks": images, "shares": {"none": 1e-9}, "group": "{group}/*"}
    with pytest.raises(ValueError, match="`mask_ending` must tell masks from images"):
        Folder(tmp_path, **options)
    dataset = Folder(tmp_path, mask_ending="_mask", **options)
    assert (len(dataset), dataset.groups) == (12, {*"abcd"})
    assert scan(dataset).faults == []


@pytest.mark.parametrize("images", ["*", "."])
def test_masks_below_the_images_of_a_scene(tmp_path, images):
    make_scenes(tmp_path, images=".", masks="ids")
    dataset = Folder(tmp_path, images=images, masks="*/ids", shares={"none": 1e-9})
    assert len(dataset) == 12
    assert scan(dataset).faults == []


def test_scenes_on_one_side_alone(tmp_path):
    make_scenes(tmp_path)
    for scene in "abcd":
        (tmp_path / "masks").mkdir(exist_ok=True)
        shutil.move(tmp_path / scene / "label", tmp_path / "masks" / scene)
    dataset = Folder(tmp_path, images="*/rgb", masks="masks", shares={"none": 1e-9})
    assert len(dataset) == 12
    assert scan(dataset).faults == []


def test_several_stars(tmp_path):
    make_scenes(tmp_path, ["x/1", "x/2", "y/1"])
    dataset = Folder(tmp_path, images="*/*/rgb", masks="*/*/label", shares={"none": 1e-9}, group="{group}/*")
    assert (len(dataset), dataset.groups) == (9, {"x", "y"})


def test_links(tmp_path):
    root = make_scenes(tmp_path / "data")
    shutil.move(root / "d", tmp_path / "d")
    (root / "d").symlink_to(tmp_path / "d")
    assert len(Folder(root, shares={"none": 1e-9}, **SCENES)) == 12
    (root / "train.txt").write_text("a/0001\nd/0001\n")
    with pytest.raises(DataError, match=r"d/rgb/0001\.png` leaves .* by a link\. Replace the link"):
        Folder(root, **SCENES)


def test_no_scene_has_these_folders(tmp_path):
    make_scenes(tmp_path)
    with pytest.raises(DatasetNotFoundError, match=r"or with a list or shares \*/rgb and \*/masks; it holds a, b, c"):
        Folder(tmp_path, images="*/rgb", masks="*/masks", shares={"val": 0.3})
    for image in tmp_path.glob("*/rgb/*"):
        image.rename(image.with_suffix(".raw"))
    with pytest.raises(DatasetNotFoundError, match=r"/\*/rgb` must hold images .* it holds \.raw\. Check"):
        Folder(tmp_path, shares={"val": 0.3}, **SCENES)
