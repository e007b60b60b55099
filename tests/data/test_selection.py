import pytest
from tests.data.contract import DatasetContract
from tests.data.fakes import make_camvid

from segdistill.data import CamVid, Selection, evenly, spread, together


@pytest.fixture
def camvid(tmp_path):
    return CamVid(make_camvid(tmp_path), "train")


class TestSelection(DatasetContract):
    kind, make = Selection, staticmethod(make_camvid)
    num_classes, num_ids = 11, 12
    counts = {"train": 3, "test": 3}

    def build(self, root, split):
        return evenly(CamVid(root, split), 3)

    def test_the_split_is_the_first_option_and_train_by_default(self):
        """It has none: it is made of data sets."""


def test_together_keeps_the_order_and_is_described_by_the_first(camvid):
    val = CamVid(camvid.root, "val")
    joined = together(camvid, val)
    assert len(joined) == 6
    assert [joined.path(index) for index in range(6)] == [*(path for path, _ in (*camvid.samples, *val.samples))]
    assert (joined.split, joined.root, joined.labels) == ("train", camvid.root, camvid.labels)
    assert (joined.load(5)[0] == val.load(1)[0]).all()


def test_samples_at_even_distances(camvid):
    assert [item[1] for item in evenly(camvid, 2).items] == [0, 2]
    assert spread(10, 4) == [0, 2, 5, 7]
    assert spread(2, 5) == [0, 1]


def test_nothing_is_no_data_set():
    with pytest.raises(ValueError, match="`items` must have a sample; got none"):
        together()
