from tests.data.contract import MaskContract, SplitContract
from tests.data.fakes import make_ade20k

from segdistill.data import ADE20K, ADE20K_LABELS


class TestADE20K(MaskContract, SplitContract):
    kind, make = ADE20K, staticmethod(make_ade20k)
    num_classes, num_ids = 150, 151
    counts = {"train": 3, "val": 2}


def test_ids_are_shifted_by_one():
    assert ADE20K_LABELS.id_to_train_id == {0: 255, **{i + 1: i for i in range(150)}}
    assert (ADE20K_LABELS.names[0], ADE20K_LABELS.names[82], ADE20K_LABELS.names[149]) == ("wall", "light", "flag")
