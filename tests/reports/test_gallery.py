import base64
import io

import numpy as np
import pytest
from PIL import Image

from segdistill.reports import summarise
from segdistill.reports.gallery import make_gallery
from segdistill.rundir import RunError


def decode(picture):
    return Image.open(io.BytesIO(base64.b64decode(picture.uri.split(",")[1])))


def test_image_truth_and_every_prediction(three_runs):
    samples = make_gallery(summarise(three_runs))
    assert len(samples) == 2
    titles = ["image", "truth", "teacher (teacher)", "alone (student alone)", "distilled (distilled)"]
    assert [picture.title for picture in samples[0]] == titles
    stored = Image.open(three_runs[2] / "gallery" / "prediction_001.png")
    assert np.array_equal(np.asarray(decode(samples[1][4])), np.asarray(stored))
    assert (samples[0][0].width, samples[0][0].height) == (80, 48)


def test_predictions_of_other_images_are_left_out(three_runs):
    path = three_runs[1] / "gallery" / "image_000.png"
    Image.fromarray(np.zeros((48, 80, 3), np.uint8)).save(path)
    first, second = make_gallery(summarise(three_runs))
    assert "alone (student alone)" not in [picture.title for picture in first]
    assert "alone (student alone)" in [picture.title for picture in second]


def test_large_pictures_are_made_small(make_run):
    ((image, truth, _),) = make_gallery(summarise([make_run("alone", gallery=1, gallery_size=(512, 1024))]))
    assert (image.width, image.height) == (truth.width, truth.height) == (480, 240)
    colors = {color for _, color in decode(truth).getcolors(1000)}
    assert len(colors) <= 9, "a class colour must not be blended with its neighbour"


def test_pictures_stay_within_their_budget(make_run, monkeypatch):
    run = make_run("alone", gallery=6)
    assert len(make_gallery(summarise([run]))) == 6
    monkeypatch.setattr("segdistill.reports.gallery._MOST_BYTES", 20_000)
    assert 0 < len(make_gallery(summarise([run]))) < 6


def test_no_gallery(make_run):
    assert make_gallery(summarise([make_run("alone", gallery=0)])) == []


@pytest.mark.parametrize("content", [b"GIF89a", b"\x89PNG\r\n\x1a\nbroken", b""])
def test_damaged_picture(make_run, content):
    run = make_run("alone")
    (run / "gallery" / "truth_000.png").write_bytes(content)
    with pytest.raises(RunError, match=r"truth_000\.png is not a readable PNG.*Delete the gallery folder"):
        make_gallery(summarise([run]))
