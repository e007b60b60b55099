"""Every layout of `folder` keeps what every data set promises; its lists, shares and endings, good and bad."""

import logging
import shutil

import pytest
from tests.data.contract import MaskContract
from tests.data.fakes import make_cvat, make_flat, make_folder, write_image, write_mask

from segdistill.data import Folder, scan
from segdistill.util import DataError, DatasetNotFoundError

SHARES = {"val": 0.3, "test": 0.2}


class FolderContract(MaskContract):
    kind = Folder
    num_classes, num_ids = 3, 4
    options = {}
    missing = "must hold"

    def build(self, root, split):
        return Folder(root, split, **self.options)


class TestEndings(FolderContract):
    make = staticmethod(lambda root: make_flat(root, lists=True, mask_ending="_mask"))
    counts = {"train": 4, "val": 2}


class TestSharedFolder(FolderContract):
    make = staticmethod(lambda root: make_flat(root, count=20))
    options = {"shares": SHARES}
    counts = {"train": 7, "val": 6, "test": 7}


class TestIdTable(FolderContract):
    make = staticmethod(make_folder)
    options = {"labels": {"ground": 0, "rest": ["class 1", 2]}}
    counts = {"train": 3, "val": 3}
    num_classes, num_ids = 2, 4


class TestNamedFolders(FolderContract):
    make = staticmethod(lambda root: make_flat(root, images="photos", lists=True))
    options = {"images": "photos", "masks": "masks", "image_ending": "", "mask_ending": ".png"}
    counts = {"train": 4, "val": 2}


@pytest.mark.parametrize("ending", ["_mask", "-labels", ".seg", "_gtFine_labelIds"])
def test_an_ending_that_pairs_all_images_is_found_and_said(tmp_path, ending, caplog):
    make_flat(tmp_path, lists=True, mask_ending=ending)
    with caplog.at_level(logging.INFO, "segdistill"):
        dataset = Folder(tmp_path, "train")
    assert ending in caplog.text
    assert [mask.name for _, mask in dataset.samples] == [f"a_{index}{ending}.png" for index in range(4)]
    assert scan(dataset).faults == []


def test_endings_of_images_and_masks(tmp_path):
    make_flat(tmp_path, count=12, image_ending="_image", mask_ending="_label")
    dataset = Folder(tmp_path, shares=SHARES)
    assert all(image.stem.removesuffix("_image") == mask.stem.removesuffix("_label") for image, mask in dataset.samples)
    assert dataset.unpaired == []


def test_two_endings_are_a_question(tmp_path):
    make_flat(tmp_path, lists=True, mask_ending="_ids")
    for path in (tmp_path / "masks").iterdir():
        shutil.copy(path, path.with_name(path.name.replace("_ids", "_colors")))
    with pytest.raises(DataError, match=r"2 endings: `_colors`, `_ids`\. Choose one: `data\.options\.mask_ending: _"):
        Folder(tmp_path, "train")
    assert scan(Folder(tmp_path, "train", mask_ending="_ids")).faults == []


def test_an_ending_of_some_images_is_named(tmp_path):
    make_flat(tmp_path, lists=True, mask_ending="_mask")
    (tmp_path / "masks/a_1_mask.png").unlink()
    with pytest.raises(
        DataError, match=r"3 of 4 images with the ending `_mask`.*`data\.options: \{mask_ending: _mask\}"
    ):
        Folder(tmp_path, "train")
    (fault,) = scan(Folder(tmp_path, "train", mask_ending="_mask")).faults
    assert fault.path.name == "a_1_mask.png"


@pytest.mark.parametrize("ending", [None, "_segmentation"])
def test_masks_of_other_names(tmp_path, ending):
    make_flat(tmp_path, lists=True)
    for path in (tmp_path / "masks").iterdir():
        path.rename(path.with_name(f"x{path.name}"))
    with pytest.raises(DataError, match=r"the masks of 4 images, named like them \(a_0\.png\); it holds xa_0\.png"):
        Folder(tmp_path, "train", mask_ending=ending)


def test_images_and_masks_in_one_folder(tmp_path):
    make_flat(tmp_path, count=12, images="all", masks="all", mask_ending="_mask")
    options = {"images": "all", "masks": "all", "shares": SHARES}
    with pytest.raises(ValueError, match="`mask_ending` must tell masks from images"):
        Folder(tmp_path, **options)
    parts = [Folder(tmp_path, split, mask_ending="_mask", **options) for split in ("train", "val", "test")]
    assert sum(map(len, parts)) == 12
    assert [scan(part).faults for part in parts] == [[], [], []]
    make_flat(tmp_path / "b", images=".", masks=".")
    dataset = Folder(tmp_path / "b", images=".", masks=".", shares=SHARES, image_ending=".jpg", mask_ending=".png")
    assert {(image.suffix, mask.suffix) for image, mask in dataset.samples} == {(".jpg", ".png")}


def test_an_export_of_roboflow(tmp_path):
    make_flat(tmp_path, images="train", masks="train", mask_ending="_mask")
    (tmp_path / "classes.txt").unlink()
    (tmp_path / "train/_classes.csv").write_text("Pixel Value, Class\n0, background\n1, a\n2, b\n")
    options = {"images": "{split}", "masks": "{split}", "mask_ending": "_mask", "classes": "train/_classes.csv"}
    dataset = Folder(tmp_path, **options)
    assert dataset.labels.names == ("background", "a", "b")
    assert len(dataset) == 6
    assert scan(dataset).faults == []


def test_masks_below_the_folder_of_images(tmp_path):
    make_flat(tmp_path, images=".", masks="masks", lists=True)
    assert len(Folder(tmp_path, images=".")) == 4


def test_folders_elsewhere(tmp_path):
    make_flat(tmp_path / "there", lists=True)
    here = tmp_path / "here"
    here.mkdir()
    for name in ("train.txt", "classes.txt"):
        shutil.move(tmp_path / "there" / name, here / name)
    there = {name: str(tmp_path / "there" / name) for name in ("images", "masks")}
    assert scan(Folder(here, **there)).faults == []


def test_a_folder_for_each_split_by_a_pattern(tmp_path):
    make_flat(tmp_path, images="pictures/train/rgb", masks="pictures/train/ids", mask_ending="_x")
    dataset = Folder(tmp_path, images="pictures/{split}/rgb", masks="pictures/{split}/ids")
    assert len(dataset) == 6


def test_folders_below_are_part_of_the_name(tmp_path):
    make_flat(tmp_path, names=["one/0", "one/1", "two/0"])
    (tmp_path / "train.txt").write_text("one/0\ntwo/0.jpg\n")
    dataset = Folder(tmp_path)
    assert [path.relative_to(tmp_path / "masks").as_posix() for _, path in dataset.samples] == [
        "one/0.png",
        "two/0.png",
    ]


@pytest.mark.parametrize(
    "line", ["{0}", "{0}.jpg", "images/{0}.jpg", "{0}.jpg {0}.png", "images/{0}.jpg\tmasks/{0}.png"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lists(tmp_path, line, end):
    make_flat(tmp_path)
    names = ["a_3", "a_1"]
    text = "\ufeff" + "".join(line.format(name) + end for name in names) + end
    (tmp_path / "train.txt").write_text(text, encoding="utf-8", newline="")
    dataset = Folder(tmp_path)
    assert [image.stem for image, _ in dataset.samples] == sorted(names)
    assert scan(dataset).faults == []
    (tmp_path / "train.txt").rename(tmp_path / "names of train")
    assert len(Folder(tmp_path, lists="names of {split}")) == 2


def test_names_with_spaces(tmp_path):
    make_flat(tmp_path, names=["my photo", "b"])
    (tmp_path / "train.txt").write_text("my photo.jpg\nb b.png\n")
    assert scan(Folder(tmp_path)).faults == []


@pytest.mark.parametrize(
    "line", ["../a", "/etc/passwd", "a/../../b", "..", "C:/a", r"..\a", "a_0.jpg ../masks/a_0.png", "a_0\t/etc/passwd"]
)
def test_no_name_leaves_the_folders(tmp_path, line):
    make_flat(tmp_path)
    (tmp_path / "train.txt").write_text(f"a_0\n{line}\n")
    with pytest.raises(DataError, match=r"train\.txt` must list names below the folders|holds none"):
        Folder(tmp_path)


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_no_link_leaves_the_folders(tmp_path, kind):
    root = make_flat(tmp_path / "data", lists=True)
    path = next(path for path in (root / kind).iterdir() if path.stem == "a_0")
    shutil.move(path, tmp_path / path.name)
    path.symlink_to(tmp_path / path.name)
    with pytest.raises(DataError, match=r"a_0\.\w+` leaves .* by a link\. Replace the link"):
        Folder(root)


def test_bad_lists(tmp_path):
    make_flat(tmp_path)
    path = tmp_path / "train.txt"
    for content, said in (
        (b"\n\n", "lists no names"),
        (b"a_0\na_1\na_0\n", "lists 1 names twice: a_0"),
        (b"\xff\xfea\x00", "UTF-8"),
        (b"x\ny\n", r"lists 2 images, of which .* holds none; the first is x, and the folder holds a_0\.jpg"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=said):
            Folder(tmp_path)
    path.write_text("a_0\nx\n")
    (fault,) = scan(Folder(tmp_path)).faults
    assert (fault.path.name, fault.problem) == ("x.png", "does not exist")
    with pytest.raises(DatasetNotFoundError, match=r"lists/train\.txt` must list the images of train"):
        Folder(tmp_path, lists="lists/{split}.txt")


def test_one_folder_without_a_way_to_split_it(tmp_path):
    make_flat(tmp_path)
    with pytest.raises(DatasetNotFoundError, match=r"which images are val.*`data\.options\.shares: \{val: 0\.2\}`"):
        Folder(tmp_path, "val")


def test_a_cvat_export_as_it_lies(tmp_path):
    make_cvat(tmp_path)
    dataset = Folder(tmp_path)
    assert dataset.labels.names == ("background", "leaf", "stem")
    assert dataset.labels.colors == ((0, 0, 0), (48, 112, 32), (200, 100, 0))
    assert len(dataset) == 12
    report = scan(dataset)
    assert report.faults == []
    assert (report.histogram > 0).all()
    with pytest.raises(DatasetNotFoundError, match="shares"):
        Folder(tmp_path, "val")
    parts = [Folder(tmp_path, split, shares=SHARES) for split in ("train", "val", "test")]
    assert sum(len(part) for part in parts) == 12
    merged = Folder(tmp_path, labels={"background": 0, "plant": ["leaf", "stem"]})
    assert scan(merged).histogram.tolist() == [report.histogram[0], report.histogram[1:].sum()]


@pytest.mark.parametrize("suffix", [".gif", ".jpg"])
def test_masks_of_another_format_are_refused_at_once(tmp_path, suffix):
    make_flat(tmp_path, lists=True, mask_ending="_mask")
    for path in (tmp_path / "masks").iterdir():
        path.rename(path.with_suffix(suffix))
    with pytest.raises(
        DataError, match=rf"all 4 of them, a_0_mask\{suffix} first, are `\{suffix}`.*Save the masks as PNG"
    ):
        Folder(tmp_path)


def test_one_mask_of_another_format_is_a_fault(tmp_path):
    make_flat(tmp_path, lists=True)
    (tmp_path / "masks/a_0.png").unlink()
    write_image(tmp_path / "masks/a_0.gif")
    (fault,) = scan(Folder(tmp_path)).faults
    assert "a GIF file" in fault.problem


def test_a_folder_of_other_things_says_what_it_holds(tmp_path):
    make_flat(tmp_path, lists=True)
    for path in (tmp_path / "images").iterdir():
        path.rename(path.with_suffix(".heic"))
    with pytest.raises(DatasetNotFoundError, match=r"holds none; it holds \.heic"):
        Folder(tmp_path)


def test_masks_without_an_image_are_found_beyond_a_list(tmp_path):
    make_flat(tmp_path, lists=True)
    write_mask(tmp_path / "masks/more.png", [0])
    assert [path.name for path in Folder(tmp_path).unpaired] == ["more.png"]
