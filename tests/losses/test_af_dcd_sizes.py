"""What Af-DCD takes by itself where a recipe leaves pool and patch open."""

import pytest

from segdistill.losses import AfDCDLoss


@pytest.mark.parametrize(
    ("size", "pool", "patch"),
    [
        ((64, 128), 4, [4, 4]),
        ((32, 32), 4, [4, 4]),  # two patches a side
        ((31, 64), 2, [4, 4]),
        ((14, 14), 1, [4, 4]),  # crops of 224 at stride 16
        ((8, 10), 1, [4, 4]),
        ((4, 6), 1, [2, 2]),
        ((3, 4), 1, [1, 2]),
        ((1, 9), 1, [1, 2]),
    ],
)
def test_open_options_follow_the_map(size, pool, patch):
    assert AfDCDLoss.suited({}, size) == {"pool_size": pool, "patch_size": patch}
    assert AfDCDLoss.suited({"pool_size": "auto", "patch_size": "auto"}, size) == AfDCDLoss.suited({}, size)


def test_what_is_said_stays():
    assert AfDCDLoss.suited({"pool_size": 4}, (8, 10)) == {"patch_size": [2, 2]}
    assert AfDCDLoss.suited({"pool_size": None}, (8, 10)) == {"patch_size": [4, 4]}
    assert AfDCDLoss.suited({"patch_size": [2, 2]}, (8, 10)) == {"pool_size": 2}
    assert AfDCDLoss.suited({"pool_size": 4, "patch_size": [4, 4]}, (8, 10)) == {}
    assert AfDCDLoss.suited({"pool_size": "big"}, (8, 10)) == {"patch_size": [4, 4]}  # the constructor refuses it


def test_the_class_keeps_the_published_defaults():
    loss = AfDCDLoss(16, 16)
    assert (loss.pool_size, loss.patch_size) == (4, (4, 4))


def test_why_the_contrast_is_silent():
    loss = AfDCDLoss(16, 16)
    assert loss.why_silent("contrast", (8, 10)) == ("its map is 2x2 and one patch needs 4x4", "pool_size=1")
    assert loss.why_silent("contrast", (3, 3)) == ("its map is 0x0 and one patch needs 4x4", "")
    assert AfDCDLoss(16, 16, pool_size=1).why_silent("contrast", (3, 3)).option == "patch_size=[2,2]"
    assert loss.why_silent("contrast", (16, 16)) is None
    assert loss.why_silent("mimic", (8, 10)) is None
