"""The label map and what is said about masks that do not fit; ``contract.py`` has what holds for all data sets."""

import pytest
from tests.data.contract import failure
from tests.data.fakes import make_camvid, write_mask

from segdistill.data import CamVid


@pytest.fixture
def camvid(tmp_path):
    return CamVid(make_camvid(tmp_path), "train")


def test_missing_mask_is_named_with_its_path(camvid):
    mask = camvid.samples[1][1]
    mask.unlink()
    again = CamVid(camvid.root, "train")
    assert failure(again, 1).path == mask
    assert "does not exist" in str(failure(again, 1))
    again.load(0)


def test_unknown_ids_are_listed_with_the_allowed_ones(camvid):
    write_mask(camvid.samples[0][1], [0, 5, 12, 200])
    error = failure(camvid)
    assert error.path == camvid.samples[0][1]
    assert "12, 200 (allowed: 0-11)" in error.problem


def test_many_unknown_ids_are_cut_short(camvid):
    write_mask(camvid.samples[0][1], range(100, 150))
    assert "107 and 42 more" in str(failure(camvid))
