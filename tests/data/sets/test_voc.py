import pytest
from PIL import Image
from tests.data.contract import MaskContract, SplitContract
from tests.data.fakes import make_voc, write_image

from segdistill.data import VOC, VOC_LABELS
from segdistill.util import DataError


class TestVOC(MaskContract, SplitContract):
    kind, make = VOC, staticmethod(make_voc)
    num_classes, num_ids = 21, 22
    counts = {"train": 3, "val": 2}


def test_palette_masks_are_read_as_indices(tmp_path):
    dataset = VOC(make_voc(tmp_path), "val")
    with Image.open(dataset.samples[0][1]) as picture:
        assert picture.mode == "P"
    assert set(dataset[0][1].flatten().tolist()) == {*range(21), 255}


def test_a_train_list_wins_over_the_folder(tmp_path):
    make_voc(tmp_path, train_list=True)
    assert [path.stem for path, _ in VOC(tmp_path, "train").samples] == ["2007_000032", "2007_000039"]
    lists = tmp_path / "ImageSets" / "Segmentation"
    (lists / "train_aug.txt").rename(lists / "trainaug.txt")
    assert len(VOC(tmp_path, "train")) == 2


@pytest.mark.parametrize("line", ["../../secret", "/etc/passwd", "a/b", "..", "C:\\x"])
def test_lists_that_leave_the_root_are_refused(tmp_path, line):
    make_voc(tmp_path)
    (tmp_path / "ImageSets/Segmentation/train_aug.txt").write_text(f"2007_000032\n{line}\n")
    with pytest.raises(DataError, match=r"train_aug\.txt.*plain file names"):
        VOC(tmp_path, "train")


@pytest.mark.parametrize(("text", "message"), [("\n\n", "lists no names"), ("a\na\n", "twice: a")])
def test_odd_lists_are_refused(tmp_path, text, message):
    make_voc(tmp_path)
    (tmp_path / "ImageSets/Segmentation/val.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        VOC(tmp_path, "val")


def test_links_that_leave_the_root_are_refused(tmp_path):
    root = make_voc(tmp_path / "voc")
    outside = tmp_path / "outside.jpg"
    write_image(outside)
    listed = root / "JPEGImages" / "2007_000033.jpg"
    listed.unlink()
    listed.symlink_to(outside)
    with pytest.raises(DataError, match="link that leaves"):
        VOC(root, "val")


def test_the_palette_of_the_development_kit():
    assert VOC_LABELS.colors[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert (VOC_LABELS.names[20], VOC_LABELS.colors[20], VOC_LABELS.id_to_train_id[255]) == (
        "tvmonitor",
        (0, 64, 128),
        255,
    )
