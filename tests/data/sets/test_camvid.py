import pytest
from tests.data.contract import MaskContract, SplitContract
from tests.data.fakes import make_camvid

from segdistill.data import CAMVID_LABELS, CamVid


class TestCamVid(MaskContract, SplitContract):
    kind, make = CamVid, staticmethod(make_camvid)
    num_classes, num_ids = 11, 12
    counts = {"train": 4, "val": 2, "test": 3}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".JPEG"])
def test_pairs_by_stem(tmp_path, suffix):
    dataset = CamVid(make_camvid(tmp_path, suffix=suffix), "train")
    assert len(dataset) == 4
    for image, mask in dataset.samples:
        assert image.suffix == suffix
        assert image.stem == mask.stem
        assert mask.parent.name == "trainannot"


def test_the_last_id_is_void():
    assert CAMVID_LABELS.id_to_train_id == {**{i: i for i in range(11)}, 11: 255}
