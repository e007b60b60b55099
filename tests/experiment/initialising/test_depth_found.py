"""Folders of images with 16 bits or further channels."""

import numpy as np
import pytest
import tifffile
from PIL import Image

import segdistill as sd
from segdistill.experiment import session
from segdistill.recipe import load_recipe


@pytest.fixture
def field(tmp_path):
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "field" / kind).mkdir(parents=True)
    for number in range(4):
        bands = rng.integers(0, 4096, (64, 96, 4)).astype(np.uint16)
        tifffile.imwrite(
            tmp_path / f"field/images/{number}.tif", bands, photometric="rgb", extrasamples=["unspecified"]
        )
        Image.fromarray((bands[..., 3] > 2000).astype(np.uint8)).save(tmp_path / f"field/masks/{number}.png")
    (tmp_path / "field" / "classes.txt").write_text("soil\ncrop\n")
    return tmp_path


def test_channels_are_counted_and_measured(field):
    begun = sd.init(field / "field", field)
    assert begun.found["channels"] == "4 of 16 bits, all read; mean and deviation are measured"
    recipe = load_recipe(field / "student.yaml")
    assert recipe.data.channels == 4
    assert np.allclose(recipe.model.options["mean"], 2047.5 / 65535, rtol=0.05)
    assert np.allclose(recipe.model.options["std"], 4096 / 12**0.5 / 65535, rtol=0.05)
    train_set, *_ = session.build_datasets(recipe)
    assert train_set[0][0].shape == (4, 64, 96)
