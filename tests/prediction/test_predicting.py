import json

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from tests.data.fakes import write_image
from torch import nn

import segdistill as sd
from segdistill.data import Folder
from segdistill.engine import Protocol
from segdistill.labels import LabelTable
from segdistill.networks import Network
from segdistill.prediction.predictor import Predictor


@pytest.fixture
def predictor():
    torch.manual_seed(0)
    table = LabelTable.from_names(["a", "b/c", "d"], [(10, 20, 30), (200, 0, 100), (0, 250, 5)])
    return Predictor(Network(nn.Conv2d(3, 3, 5, stride=2, padding=2), labels=table))


@pytest.fixture
def photos(tmp_path):
    for seed, name in enumerate(["a.png", "deep/b.jpg", "c.png"]):
        write_image(tmp_path / "photos" / name, seed=seed)
    return tmp_path / "photos"


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def pixels(path):
    return np.array(Image.open(path))


def test_masks_and_overlays_keep_the_structure(predictor, photos, tmp_path):
    counts = []
    done = sd.predict(predictor, photos, out=tmp_path / "out", advance=lambda *count: counts.append(count))
    assert files(tmp_path / "out") == [
        "classes.txt", "masks/a.png", "masks/c.png", "masks/deep/b.png",
        "overlays/a.jpg", "overlays/c.jpg", "overlays/deep/b.jpg", "predictions.json",
    ]  # fmt: skip
    assert [path.name for path in done.images] == ["a.png", "c.png", "b.jpg"]
    assert counts == [(0, 3), (1, 3), (2, 3), (3, 3)]
    for image, mask in zip(done.images, done.masks, strict=True):
        assert np.array_equal(pixels(mask), predictor(image).numpy())
        overlay = tmp_path / "out/overlays" / mask.relative_to(tmp_path / "out/masks").with_suffix(".jpg")
        assert pixels(overlay).shape == pixels(image).shape
    assert (tmp_path / "out/classes.txt").read_text() == "a\nb/c\nd\n"
    record = json.loads((tmp_path / "out/predictions.json").read_text())
    assert record["images"] == done.frame()
    assert (record["window"], record["scales"], record["flip"]) == (None, [1.0], False)


def test_the_output_opens_as_a_data_set_beside_its_images(predictor, tmp_path):
    for seed in range(2):
        write_image(tmp_path / f"set/images/train/{seed}.jpg", seed=seed)
    sd.predict(predictor, tmp_path / "set/images", out=tmp_path / "set", overlays=False)
    write_image(tmp_path / "set/images/train/0.jpg")
    made = Folder(tmp_path / "set", "train")
    assert list(made.labels.names) == ["a", "b/c", "d"]
    assert len(made) == 2
    assert int(made[1][1].max()) <= 2
    again = sd.predict(predictor, tmp_path / "set/images", out=tmp_path / "set", overlays=False)
    assert len(again.masks) == 2


def test_masks_of_somebody_else_are_never_overwritten(predictor, photos, tmp_path):
    write_image(tmp_path / "set/masks/a.png")
    with pytest.raises(sd.SegdistillError, match="holds files that predict did not write"):
        sd.predict(predictor, photos, out=tmp_path / "set")
    assert files(tmp_path / "set") == ["masks/a.png"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other/classes.txt").write_text("x\n")
    with pytest.raises(sd.SegdistillError, match=r"classes\.txt holds other classes than the network"):
        sd.predict(predictor, photos, out=tmp_path / "other")
    (tmp_path / "other/classes.txt").write_bytes(b"a\nb/c\nd\n")
    assert len(sd.predict(predictor, photos, out=tmp_path / "other").masks) == 3


def test_an_output_folder_inside_the_source_is_no_source(predictor, photos):
    for out in (photos / "out", photos / "later"):
        assert len(sd.predict(predictor, photos, out=out).masks) == 3
    assert len(sd.predict(predictor, photos, out=photos).masks) == 3
    assert len(sd.predict(predictor, photos, out=photos).masks) == 3


def test_what_can_be_done_is_done_and_the_rest_is_listed(predictor, photos, tmp_path):
    (photos / "b.png").write_bytes((photos / "a.png").read_bytes()[:300])
    (photos / "text.png").write_text("no picture")
    tifffile.imwrite(photos / "deep5.tif", np.zeros((4, 4, 5), np.uint16), planarconfig="contig")
    done = sd.predict(predictor, [photos, tmp_path / "none.jpg"], out=tmp_path / "out")
    assert len(done.masks) == 3
    reasons = {path.name: reason for path, reason in done.failed}
    assert list(reasons) == ["none.jpg", "b.png", "deep5.tif", "text.png"]
    assert reasons["none.jpg"] == "does not exist"
    assert reasons["b.png"].startswith("cannot be decoded as image (")
    assert reasons["deep5.tif"].startswith("must have the channels red, green and blue, or grey; it has 5")
    rows = done.frame()
    assert len(rows) == 7
    assert [row["mask"] is None for row in rows] == [False] * 3 + [True] * 4
    assert not any("text" in name for name in files(tmp_path / "out"))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_network_that_fails_on_one_image_does_the_others(predictor, tmp_path, batch_size):
    for name in "abc":
        write_image(tmp_path / f"in/{name}.png", seed=ord(name))
    Image.new("RGB", (40, 24)).save(tmp_path / "in/b.png")

    def forward(image, real=predictor.network.segment):
        if float(image.amax(dim=(1, 2, 3)).min()) == 0:
            raise RuntimeError("too dark\nfor me")
        return real(image)

    predictor.network.segment = forward
    done = sd.predict(predictor, tmp_path / "in", out=tmp_path / "out", batch_size=batch_size)
    assert [path.name for path in done.masks] == ["a.png", "c.png"]
    assert [(path.name, reason) for path, reason in done.failed] == [("b.png", "failed with RuntimeError: too dark.")]


def test_too_little_memory_is_said_in_words(predictor, photos, tmp_path):
    def forward(image):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    predictor.network.segment = forward
    done = sd.predict(predictor, photos, out=tmp_path / "out")
    assert len(done.failed) == 3
    assert "--window 1024x1024" in done.failed[0][1]


def test_a_single_mask_goes_to_the_file_that_is_named(predictor, photos, tmp_path):
    done = sd.predict(predictor, photos / "a.png", out=tmp_path / "new/mask.png")
    assert done.masks == [tmp_path / "new/mask.png"]
    assert files(tmp_path / "new") == ["mask.png"]
    assert np.array_equal(pixels(done.masks[0]), predictor(photos / "a.png").numpy())


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("mask.png", {"source": ""}, "--out must be a folder for 3 images"),
        ("mask.jpg", {}, r"must be saved as \.png"),
        ("mask.png", {"confidence": True}, "must be a folder for confidence or probabilities"),
        ("photos/a.png", {}, "must not be the image itself"),
        ("x", {"window": (0, 5)}, "`window` must be a whole number, at least 1; got 0"),
        ("x", {"window": 5}, "`window` must be a height and a width"),
        ("x", {"scales": ()}, "`scales` must be numbers above 0"),
        ("x", {"scales": (0.5, -1)}, "`scales` must be numbers above 0"),
        ("x", {"scales": "1"}, "`scales` must be numbers above 0"),
        ("x", {"batch_size": 0}, "`batch_size` must be a whole number, at least 1; got 0"),
        ("x", {"max_pixels": -3}, "`max_pixels` must be a whole number"),
        ("x", {"probabilities": "tif"}, "`probabilities` must be npz or png; got 'tif'"),
        ("x", {"source": "none"}, "names no image"),
        ("x", {"source": 3}, "`source` must be a path; got 3"),
        ("x", {"list_file": "none.txt"}, "there is no such file"),
    ],
)
def test_options_that_cannot_be(predictor, photos, tmp_path, out, options, message):
    source = options.pop("source", "a.png")
    before = files(tmp_path)
    with pytest.raises(sd.SegdistillError, match=message):
        sd.predict(predictor, photos / source if isinstance(source, str) else source, out=tmp_path / out, **options)
    assert files(tmp_path) == before


def test_probabilities_and_confidence(predictor, photos, tmp_path):
    protocol = {"window": (16, 16), "scales": (0.5, 1), "flip": True}
    sd.predict(predictor, photos, out=tmp_path / "n", probabilities="npz", confidence=True, **protocol)
    sd.predict(predictor, photos, out=tmp_path / "p", probabilities="png", batch_size=3, **protocol)
    expected = predictor.probabilities(photos / "deep/b.jpg", Protocol((0.5, 1.0), True, (16, 16)))
    with np.load(tmp_path / "n/probabilities/deep/b.npz") as saved:
        assert saved["probabilities"].dtype == np.float16
        assert np.abs(saved["probabilities"] - expected.numpy()).max() < 1e-3
        assert saved["classes"].tolist() == ["a", "b/c", "d"]
    assert np.abs(pixels(tmp_path / "n/confidence/deep/b.png") / 255 - expected.amax(0).numpy()).max() < 0.003
    assert [name for name in files(tmp_path / "p") if "probabilities/deep" in name] == [
        f"probabilities/deep/b/{name}.png" for name in ("000_a", "001_b_c", "002_d")
    ]
    for number, name in enumerate(("000_a", "001_b_c", "002_d")):
        saved = pixels(tmp_path / f"p/probabilities/deep/b/{name}.png") / 255
        assert np.abs(saved - expected[number].numpy()).max() < 0.004


def test_batches_give_the_masks_of_single_images_in_their_order(predictor, tmp_path):
    for seed in range(7):
        write_image(tmp_path / f"in/{seed}.png", seed=seed, size=(20, 30) if seed % 2 else (30, 20))
    shapes = []
    real = predictor.network.segment
    predictor.network.segment = lambda image: shapes.append(tuple(image.shape)) or real(image)
    together = sd.predict(predictor, tmp_path / "in", out=tmp_path / "together", batch_size=3)
    assert sorted(shape[0] for shape in shapes) == [1, 3, 3]
    singly = sd.predict(predictor, tmp_path / "in", out=tmp_path / "singly")
    assert together.images == singly.images
    for one, other in zip(together.masks, singly.masks, strict=True):
        assert one.name == other.name
        assert np.array_equal(pixels(one), pixels(other))


def test_the_pixel_limit_has_a_switch_in_both_directions(predictor, tmp_path, monkeypatch):
    write_image(tmp_path / "in/a.png", size=(30, 40))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)  # Pillow refuses twice as many
    done = sd.predict(predictor, tmp_path / "in", out=tmp_path / "out")
    assert "has 40 x 30 = 1,200 pixels; more than 1,000 pixels are not read" in done.failed[0][1]
    assert "--max-pixels 1200" in done.failed[0][1]
    assert len(sd.predict(predictor, tmp_path / "in", out=tmp_path / "out", max_pixels=1200).masks) == 1
    assert Image.MAX_IMAGE_PIXELS == 500
    assert len(sd.predict(predictor, tmp_path / "in", out=tmp_path / "out", max_pixels=1199).failed) == 1
