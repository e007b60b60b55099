import pytest
from tests.data.contract import MaskContract, SplitContract
from tests.data.fakes import make_ade20k, write_mask

from segdistill.data import ADE20K, ADE20K_LABELS
from segdistill.util import DataError


class TestADE20K(MaskContract, SplitContract):
    kind, make = ADE20K, staticmethod(make_ade20k)
    num_classes, num_ids = 150, 151
    counts = {"train": 3, "val": 2}


def test_ids_are_shifted_by_one():
    assert ADE20K_LABELS.id_to_train_id == {0: 255, **{i + 1: i for i in range(150)}}
    assert (ADE20K_LABELS.names[0], ADE20K_LABELS.names[82], ADE20K_LABELS.names[149]) == ("wall", "light", "flag")


def test_255_is_ignored_when_asked(tmp_path):
    make_ade20k(tmp_path)
    write_mask(tmp_path / "annotations/validation/ADE_val_00000001.png", [0, 1, 150, 255])
    with pytest.raises(DataError, match=r"does not have: 255 .*`data\.options\.ignore: \[255\]`"):
        ADE20K(tmp_path, "val").load(0)
    dataset = ADE20K(tmp_path, "val", ignore=[255])
    assert set(dataset[0][1].flatten().tolist()) == {0, 149, 255}
    assert dataset.labels.num_classes == 150
