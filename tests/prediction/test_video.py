"""The frame loop, with a reader and a writer that stand for PyAV's."""

import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.fakes import write_image
from torch import nn

import segdistill as sd
from segdistill.labels import LabelTable
from segdistill.networks import Network
from segdistill.prediction import video
from segdistill.prediction.predictor import Predictor


@pytest.fixture
def predictor():
    torch.manual_seed(0)
    return Predictor(Network(nn.Conv2d(3, 3, 1), labels=LabelTable.from_names(["a", "b", "c"])))


@pytest.fixture
def clip(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"not read")
    return tmp_path / "clip.mp4"


@pytest.fixture
def written(monkeypatch):
    """Frames that were written to overlay videos, by file."""
    found = {}

    class Writer:
        def __init__(self, file, rate):
            self.frames = found.setdefault((file.name, rate), [])

        def write(self, picture):
            self.frames.append(picture.size)

        def close(self):
            self.frames.append("closed")

    monkeypatch.setattr(video, "VideoWriter", Writer)
    return found


FRAMES = [torch.randint(0, 256, (3, 12, 16), dtype=torch.uint8) for _ in range(5)]


def plays(monkeypatch, frames):
    monkeypatch.setattr(video, "open_video", lambda path: video.Clip(Fraction(30), 5, iter(frames)))


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_video_gives_a_mask_a_frame_and_an_overlay_video(monkeypatch, predictor, clip, written, tmp_path, batch_size):
    plays(monkeypatch, FRAMES)
    write_image(tmp_path / "a.png")
    counts = []
    done = sd.predict(
        predictor, [clip, tmp_path / "a.png"], out=tmp_path / "out", confidence=True, batch_size=batch_size,
        advance=lambda *count: counts.append(count),
    )  # fmt: skip
    assert done.failed == []
    assert done.masks == [tmp_path / "out/masks/clip", tmp_path / "out/masks/a.png"]
    for number, frame in enumerate(FRAMES):
        mask = np.array(Image.open(tmp_path / f"out/masks/clip/{number:06d}.png"))
        assert np.array_equal(mask, predictor(frame).numpy())
    assert len(list((tmp_path / "out/confidence/clip").iterdir())) == 5
    assert written == {("clip.mp4", 30): [*[(16, 12)] * 5, "closed"]}
    assert [path.name for path in (tmp_path / "out/overlays").iterdir()] == ["a.jpg"]
    assert counts[0] == (0, 2)
    assert counts[-1] == (6, 6)
    assert counts == sorted(counts)


def test_a_damaged_end_keeps_what_is_done(monkeypatch, predictor, clip, written, tmp_path):
    def frames():
        yield from FRAMES[:2]
        raise ValueError("no more")

    plays(monkeypatch, frames())
    done = sd.predict(predictor, clip, out=tmp_path / "out")
    assert done.failed == [(clip, "failed with ValueError: no more. 2 frames are done.")]
    assert len(list((tmp_path / "out/masks/clip").iterdir())) == 2
    assert written[("clip.mp4", 30)][-1] == "closed"


def test_without_pyav_the_sentence_says_what_to_install(monkeypatch, predictor, clip, tmp_path):
    monkeypatch.setitem(sys.modules, "av", None)
    write_image(tmp_path / "a.png")
    done = sd.predict(predictor, [clip, tmp_path / "a.png"], out=tmp_path / "out")
    assert done.failed == [(clip, "is a video and needs PyAV, which is not installed: pip install segdistill[video].")]
    assert len(done.masks) == 1


def test_a_video_is_taken_where_it_is_named_and_not_in_a_folder(predictor, clip, tmp_path):
    write_image(tmp_path / "a.png")
    assert len(sd.predict(predictor, tmp_path, out=tmp_path / "out").images) == 1


def test_a_video_needs_a_folder(predictor, clip, tmp_path):
    done = sd.predict(predictor, clip, out=tmp_path / "mask.png")
    assert "needs a folder as --out" in done.failed[0][1]
