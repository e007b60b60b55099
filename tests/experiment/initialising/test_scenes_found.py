"""A pair of folders that repeats in every scene; and folders that hold no masks, which say what to do instead."""

import shutil
import zipfile

import pytest
from PIL import Image
from tests.data.fakes import make_flat, make_folder, make_scenes, write_image, write_mask
from tests.experiment.initialising.test_layouts_found import begin, good

import segdistill as sd
from segdistill.data import Folder


def sides(data):
    """The scenes of train and of val."""
    return [
        {image.relative_to(data.root).parts[0] for image, _ in Folder(data.root, split, **data.options).samples}
        for split in ("train", "val")
    ]


@pytest.mark.parametrize("scenes", ["ab", "abc", "abcdefgh"])
def test_scenes_stay_on_one_side(tmp_path, scenes):
    begun, data, _ = good(make_scenes(tmp_path / "d", scenes), tmp_path)
    assert (data.options["images"], data.options["masks"]) == ("*/rgb", "*/label")
    train, val = sides(data)
    assert train | val == {*scenes}
    assert not train & val
    assert len(val) <= len(train)
    text = " ".join(begun.files[0].read_text().split())
    assert '# proposal: images of a scene are alike, so that all of them are in one split group: "{group}/*"' in text
    assert "scenes are drawn by name" in text
    assert "% of the scenes for val" in begun.found["folder"]


def test_a_large_scene_is_not_for_val(tmp_path):
    root = make_scenes(tmp_path / "d", "abc")
    for index in range(3, 20):
        write_image(root / f"a/rgb/{index:04d}.png", index)
        write_mask(root / f"a/label/{index:04d}.png", range(3))
    _, data, _ = good(root, tmp_path)
    assert "a" in sides(data)[0]


def test_one_scene_is_a_pair_of_folders(tmp_path):
    root = make_scenes(tmp_path / "d", "a")
    (root / "b").mkdir()
    _, data, _ = good(root, tmp_path)
    assert (data.options["images"], data.options["masks"]) == ("a/rgb", "a/label")
    assert "group" not in data.options


def test_scenes_below_splits(tmp_path):
    root = make_scenes(tmp_path / "d", ["train/a", "train/b", "val/c", "val/e"])
    _, data, checkup = good(root, tmp_path)
    assert data.options == {"images": "{split}/*/rgb", "masks": "{split}/*/label"}
    assert [report.num_samples for report in checkup.splits.values()] == [6, 6]


def test_scenes_with_lists(tmp_path):
    root = make_scenes(tmp_path / "d")
    (root / "train.txt").write_text("a/rgb/0000.png\nb/rgb/0001.png\n")
    (root / "val.txt").write_text("d/rgb/0002.png\n")
    _, data, checkup = good(root, tmp_path)
    assert data.options == {"images": "*/rgb", "masks": "*/label"}
    assert [report.num_samples for report in checkup.splits.values()] == [2, 1]


def test_scenes_of_several_sites_and_a_folder_around_them(tmp_path):
    root = make_scenes(tmp_path / "d", [f"data/{site}/{day}" for site in "xyz" for day in "ab"])
    shutil.move(root / "classes.txt", root / "data")
    _, data, _ = good(root, tmp_path)
    assert (data.root, data.options["images"]) == (str(root / "data"), "*/*/rgb")
    train, val = sides(data)
    assert train | val == {*"xyz"}
    assert not train & val


@pytest.mark.parametrize(
    ("images", "masks", "ending", "found"),
    [
        (".", ".", "_mask", {"images": "*", "masks": "*", "mask_ending": "_mask"}),
        (".", "ids", "", {"images": "*", "masks": "*/ids"}),
        ("left/rgb", "left/seg", "", {"images": "*/left/rgb", "masks": "*/left/seg"}),
    ],
)
def test_scenes_of_other_shapes(tmp_path, images, masks, ending, found):
    root = make_scenes(tmp_path / "d", "abcdefgh", images=images, masks=masks, mask_ending=ending)
    _, data, _ = good(root, tmp_path)
    assert {key: data.options.get(key) for key in found} == found
    assert data.options["group"] == "{group}/*"


def test_of_several_folders_of_a_scene_those_with_ids_are_taken(tmp_path):
    root = make_scenes(tmp_path / "d", masks="seg", mask_ending="_ids")
    for scene in "abcd":
        for index in range(3):
            write_image(root / f"{scene}/depth/{index:04d}.png", index)
            write_image(root / f"{scene}/seg_color/{index:04d}.png", index)
    _, data, _ = good(root, tmp_path)
    assert (data.options["images"], data.options["masks"]) == ("*/rgb", "*/seg")


def test_a_scene_without_masks_is_said(tmp_path):
    root = make_scenes(tmp_path / "d", "abc")
    shutil.rmtree(root / "c/label")
    begun, student = begin(root, tmp_path)
    assert student.data.options["images"] == "*/rgb"
    assert begun.open == ["3 images of the splits without a mask: add masks, or move the images elsewhere"]


def test_folders_below_one_pair_are_proposed_as_groups(tmp_path):
    names = [f"{city}/{index}" for city in ("x", "y", "z", "w") for index in range(3)]
    begun, data, _ = good(make_flat(tmp_path / "d", names=names), tmp_path)
    assert "group" not in data.options
    assert '# proposal: group: "{group}/*"' in begun.files[0].read_text()


def test_many_scenes_are_looked_at_quickly(tmp_path):
    for index in range(400):
        (tmp_path / f"d/{index:03d}/label").mkdir(parents=True)
        (tmp_path / f"d/{index:03d}/rgb").mkdir()
    make_scenes(tmp_path / "d", ["000", "001", "002", "003"])
    for index in range(4, 400):
        for name in ("rgb", "label"):
            (tmp_path / f"d/{index:03d}/{name}/0000.png").hardlink_to(tmp_path / f"d/000/{name}/0000.png")
    begun, student = begin(tmp_path / "d", tmp_path)
    assert student.data.options["images"] == "*/rgb"
    assert begun.open == []


def test_archives_and_folders_around(tmp_path):
    root = make_folder(tmp_path / "d/one/two/three/four")
    (tmp_path / "d/README.md").write_text("Unpacked.")
    _, data, _ = good(tmp_path / "d", tmp_path)
    assert data.root == str(root)


def no_masks(root):
    for index in range(3):
        write_image(root / f"train/{index}.jpg", index)


def make_carvana(root):
    no_masks(root)
    (root / "train_masks").mkdir()
    for index in range(3):
        Image.new("P", (40, 24)).save(root / f"train_masks/{index}_mask.gif")


def make_supervisely(root):
    for index in range(3):
        write_image(root / f"ds0/img/{index}.jpg", index)
        (root / "ds0/ann").mkdir(exist_ok=True)
        (root / f"ds0/ann/{index}.jpg.json").write_text("{}")
    write_image(root / "ds1/img/0.jpg")


def make_zip(root):
    root.mkdir()
    with zipfile.ZipFile(root / "data.zip", "w") as archive:
        archive.writestr("images/a.jpg", b"")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            make_carvana,
            r"train \(3 pictures\)\. There are other files \(3 \.gif\): if they are masks, save them as PNG\.",
        ),
        (make_supervisely, r"\(3 \.json\): if .* a label tool, `segdistill import FOLDER --out NEW` draws masks from"),
        (make_zip, r"no pictures\. There are other files \(1 \.zip\): unpack them\. Known layouts"),
        (no_masks, r"train \(3 pictures\)\. Known layouts"),
    ],
)
def test_what_to_do_with_files_that_are_no_pictures(tmp_path, make, said):
    make(tmp_path / "d")
    with pytest.raises(sd.SegdistillError, match=said):
        sd.init(tmp_path / "d", tmp_path / "out")
