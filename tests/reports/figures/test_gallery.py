import base64
import io
import json

import numpy as np
import pytest
from PIL import Image
from tests.store.fakes import make_comparison

from segdistill.reports import summarise
from segdistill.reports.figures.gallery import IGNORED, RIGHT, WRONG, error_map, make_gallery
from segdistill.util import RunError


def decode(picture):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.uri.split(",")[1]))).convert("RGB"))


def by_title(sample):
    return {prediction.title: prediction for prediction in sample.predictions}


def test_image_truth_and_every_prediction(three_runs):
    samples = make_gallery(summarise(three_runs))
    assert len(samples) == 2
    assert list(by_title(samples[0])) == ["teacher", "alone (student alone)", "distilled"]
    for number, sample in enumerate(sorted(samples)):
        stored = three_runs[2] / "gallery" / f"prediction_{number:03d}.png"
        assert np.array_equal(decode(sample.predictions[2].picture), np.asarray(Image.open(stored)))
    assert (samples[0].image.width, samples[0].image.height) == (80, 48)


def test_mistakes_are_marked_and_ignored_pixels_are_neutral(tmp_path):
    make_comparison(tmp_path, seeds=1, pictures=1)
    (sample,) = make_gallery(summarise([run.parent for run in tmp_path.rglob("result.json")]))
    truth = decode(sample.truth)
    for each in sample.predictions:
        errors, prediction = decode(each.errors), decode(each.picture)
        ignored = ~truth.any(-1)
        assert ignored.sum() == 4 * 96
        assert (errors[ignored] == IGNORED).all()
        wrong = (truth != prediction).any(-1) & ~ignored
        assert wrong.any()
        assert (errors[wrong] == WRONG).all()
        assert (errors[~wrong & ~ignored] == RIGHT).all()


def test_a_class_that_is_black_counts():
    truth, prediction = Image.new("RGB", (4, 4)), Image.new("RGB", (4, 4), (9, 9, 9))
    assert error_map(truth, prediction, (255, 255, 255)).getcolors() == [(16, WRONG)]
    assert error_map(truth, prediction).getcolors() == [(16, IGNORED)]


def test_scores_gains_and_order(tmp_path):
    make_comparison(tmp_path, seeds=1, pictures=3)
    runs = [run.parent for run in tmp_path.rglob("result.json")]
    scores = {
        json.loads((run / "result.json").read_text())["name"]: json.loads((run / "gallery/gallery.json").read_text())[
            "samples"
        ]
        for run in runs
    }
    samples = make_gallery(summarise(runs))
    assert [sample.spread for sample in samples] == sorted((s.spread for s in samples), reverse=True)
    for sample in samples:
        miou = {name: next(s["miou"] for s in own if s["name"] == sample.name) for name, own in scores.items()}
        students = [score for name, score in miou.items() if name != "teacher"]
        assert sample.spread == pytest.approx(100 * (max(students) - min(students)))
        assert sample.gain == pytest.approx(100 * (miou["af_dcd"] - miou["none"]))
        best = by_title(sample)["af_dcd (distilled)"]
        assert (best.miou, best.gain) == (miou["af_dcd"], sample.gain)
        assert [each.main for each in sample.predictions].count(True) == 3


def test_the_teacher_of_a_foreign_checkpoint(tmp_path):
    runs = [run for run in make_comparison(tmp_path, seeds=1, pictures=1) if run.name != "teacher"]
    for run in runs[1:]:
        (run / "gallery" / "teacher_000.png").write_bytes((run / "gallery" / "truth_000.png").read_bytes())
    (sample,) = make_gallery(summarise(runs))
    assert [each.title for each in sample.predictions].count("teacher") == 1
    assert WRONG not in {color for _, color in Image.fromarray(decode(by_title(sample)["teacher"].errors)).getcolors()}


def test_predictions_of_other_images_are_left_out(three_runs):
    path = three_runs[1] / "gallery" / "image_000.png"
    Image.fromarray(np.zeros((48, 80, 3), np.uint8)).save(path)
    samples = make_gallery(summarise(three_runs))
    assert sorted("alone (student alone)" in by_title(sample) for sample in samples) == [False, True]


def test_large_pictures_are_made_small(make_run):
    (sample,) = make_gallery(summarise([make_run("alone", gallery=1, gallery_size=(512, 1024))]))
    assert (sample.image.width, sample.image.height) == (sample.truth.width, sample.truth.height) == (480, 240)
    colors = np.unique(decode(sample.truth).reshape(-1, 3), axis=0)
    assert len(colors) <= 9, "a class colour must not be blended with its neighbour"


def test_pictures_stay_within_their_budget(make_run, monkeypatch):
    run = make_run("alone", gallery=6, gallery_size=(256, 512))
    full = make_gallery(summarise([run]))
    assert len(full) == 6
    assert full[0].image.width == 480
    monkeypatch.setattr("segdistill.reports.figures.gallery._MOST_BYTES", 300_000)
    smaller = make_gallery(summarise([run]))
    assert len(smaller) == 6, "pictures are made smaller before one is left out"
    assert smaller[0].image.width < 480
    monkeypatch.setattr("segdistill.reports.figures.gallery._MOST_BYTES", 30_000)
    assert 0 < len(make_gallery(summarise([run]))) < 6


def test_no_gallery(make_run):
    assert make_gallery(summarise([make_run("alone", gallery=0)])) == []


@pytest.mark.parametrize("content", [b"GIF89a", b"\x89PNG\r\n\x1a\nbroken", b""])
def test_damaged_picture(make_run, content):
    run = make_run("alone")
    (run / "gallery" / "truth_000.png").write_bytes(content)
    with pytest.raises(RunError, match=r"truth_000\.png is not a readable PNG.*Delete the gallery folder"):
        make_gallery(summarise([run]))
