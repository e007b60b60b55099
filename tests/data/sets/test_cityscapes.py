import shutil

import pytest
from tests.data.contract import MaskContract, SplitContract
from tests.data.fakes import make_cityscapes, write_mask

from segdistill.data import CITYSCAPES_LABELS, Cityscapes
from segdistill.util import DatasetNotFoundError


class TestCityscapes(MaskContract, SplitContract):
    kind, make = Cityscapes, staticmethod(make_cityscapes)
    num_classes, num_ids = 19, 34
    counts = {"train": 3, "val": 2, "test": 1}
    unlabelled = ("test",)


def test_the_test_split_reads_no_masks(tmp_path):
    dataset = Cityscapes(make_cityscapes(tmp_path), "test")
    assert [mask for _, mask in dataset.samples] == [None]
    assert (dataset.load(0)[1] == 255).all()
    shutil.rmtree(tmp_path / "gtFine")
    assert len(Cityscapes(tmp_path, "test")) == 1


def test_a_citys_masks_are_missing(tmp_path):
    make_cityscapes(tmp_path)
    shutil.rmtree(tmp_path / "gtFine/train/zurich")
    with pytest.raises(DatasetNotFoundError, match="gtFine/train/zurich"):
        Cityscapes(tmp_path, "train")


def test_no_city(tmp_path):
    for folder in ("leftImg8bit/val", "gtFine/val"):
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(DatasetNotFoundError, match="by city"):
        Cityscapes(tmp_path, "val")


class TestTrainIds(MaskContract, SplitContract):
    kind = Cityscapes
    num_classes, num_ids = 19, 20
    counts = {"train": 3, "val": 2, "test": 1}
    unlabelled = ("test",)

    @staticmethod
    def make(root):
        make_cityscapes(root)
        for path in root.glob("gtFine/*/*/*_labelIds.png"):
            write_mask(path.with_name(path.name.replace("labelIds", "labelTrainIds")), (*range(19), 255))
        return root

    def build(self, root, split):
        return Cityscapes(root, split, labels="labelTrainIds")


def test_other_masks_are_none(tmp_path):
    with pytest.raises(ValueError, match="`labels` must be labelIds or labelTrainIds; got 'color'"):
        Cityscapes(tmp_path, labels="color")


def test_both_kinds_of_masks_have_the_same_classes(tmp_path):
    make_cityscapes(tmp_path)
    table = TestTrainIds().build(TestTrainIds.make(tmp_path / "b"), "train").labels
    assert (table.names, table.colors) == (CITYSCAPES_LABELS.names, CITYSCAPES_LABELS.colors)


def test_the_published_map():
    known = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    assert CITYSCAPES_LABELS.id_to_train_id == {i: known.index(i) if i in known else 255 for i in range(34)}
    assert CITYSCAPES_LABELS.names[-1] == "bicycle"
    assert dict(zip(CITYSCAPES_LABELS.names, CITYSCAPES_LABELS.colors, strict=True))["terrain"] == (152, 251, 152)
