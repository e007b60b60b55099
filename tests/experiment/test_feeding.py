import pytest

from segdistill.data import ChannelStatistics
from segdistill.experiment.feeding import judge_feeding
from segdistill.types import Preprocessing

PHOTO = ChannelStatistics((0.41, 0.42, 0.43), (0.3, 0.31, 0.31), (0, 0, 0), (1, 1, 1), 9)


def test_photographs_are_as_imagenet_has_them():
    assert judge_feeding(PHOTO, Preprocessing(), "model") == []


@pytest.mark.parametrize(
    ("statistics", "preprocessing", "said"),
    [
        (PHOTO._replace(mean=(0.03,) * 3, std=(0.02,) * 3), Preprocessing(), "deviations down to 0.087"),
        (PHOTO, Preprocessing(mean=(123.7, 116.3, 103.5), std=(58.4, 57.1, 57.4)), "deviations down to 0.0051"),
        (PHOTO, Preprocessing(mean=(-9, 0, 0), std=(1, 1, 1)), "means up to 9.4"),
    ],
)
def test_other_units_are_warned_of(statistics, preprocessing, said):
    (finding,) = judge_feeding(statistics, preprocessing, "teacher")
    assert not finding.fatal
    assert said in finding.text
    assert "teacher.options.mean=[" in finding.remedy


def test_the_order_of_the_channels_is_the_networks():
    dark = ChannelStatistics((0.9, 0.5, 0.1), (0.2,) * 3, (0,) * 3, (1,) * 3, 9)
    assert judge_feeding(dark, Preprocessing(mean=(0.1, 0.5, 0.9), std=(0.2,) * 3, bgr=True), "model") == []
    assert judge_feeding(dark, Preprocessing(mean=(0.1, 0.5, 0.9), std=(0.2,) * 3), "model")
