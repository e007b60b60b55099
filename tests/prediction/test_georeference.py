import numpy as np
import pytest
import torch
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from tests.data.fakes import write_image
from torch import nn

import segdistill as sd
from segdistill.labels import LabelTable
from segdistill.networks import Network
from segdistill.prediction.georeference import KINDS, georeference
from segdistill.prediction.predictor import Predictor

TAGS = {
    33550: (0.5, 0.5, 0.0),
    33922: (0.0, 0.0, 0.0, 500_000.25, 5_200_000.0, 0.0),
    34735: (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633),
    34737: "WGS 84 / UTM zone 33N|",
}


def write_geotiff(path, size=(24, 40), more=()):
    directory = ImageFileDirectory_v2()
    for tag, value in {**TAGS, **dict(more)}.items():
        directory[tag] = value
        directory.tagtype[tag] = KINDS.get(tag, 3)
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, tiffinfo=directory)


@pytest.fixture
def predictor():
    torch.manual_seed(0)
    return Predictor(Network(nn.Conv2d(3, 3, 1), labels=LabelTable.from_names(["a", "b", "c"])))


def test_the_mask_of_a_geotiff_lies_where_the_image_lies(predictor, tmp_path):
    write_geotiff(tmp_path / "in/deep/map.tif")
    write_image(tmp_path / "in/plain.tif")
    done = sd.predict(predictor, tmp_path / "in", out=tmp_path / "out")
    assert done.failed == []
    assert [path.name for path in (tmp_path / "out/georeferenced").rglob("*.tif")] == ["map.tif"]
    assert georeference(tmp_path / "out/georeferenced/deep/map.tif") == TAGS
    with Image.open(tmp_path / "out/georeferenced/deep/map.tif") as mask:
        assert np.array_equal(np.array(mask), predictor(tmp_path / "in/deep/map.tif").numpy())


def test_a_picture_without_a_place_or_one_that_is_turned_has_none(tmp_path):
    write_geotiff(tmp_path / "turned.tif", more={274: 6}.items())
    write_image(tmp_path / "a.png")
    (tmp_path / "text.tif").write_text("no picture")
    for name in ("turned.tif", "a.png", "text.tif", "none.tif"):
        assert georeference(tmp_path / name) == {}
