"""Decoding, the label map, and what is said about damaged files."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.fakes import HEIGHT, WIDTH, make_camvid, truncate, write_image, write_mask

from segdistill.data import CamVid, read_image, read_mask
from segdistill.util import DataError


@pytest.fixture
def camvid(tmp_path):
    return CamVid(make_camvid(tmp_path), "train")


def failure(dataset, index=0):
    with pytest.raises(DataError) as caught:
        dataset.load(index)
    error = caught.value
    assert str(error) == f"`{error.path}` {error.problem}. {error.remedy}"
    assert error.remedy.endswith(".")
    return error


def test_missing_mask_is_named_with_its_path(camvid):
    mask = camvid.samples[1][1]
    mask.unlink()
    again = CamVid(camvid.root, "train")
    assert failure(again, 1).path == mask
    assert "does not exist" in str(failure(again, 1))
    again.load(0)


def test_missing_image(camvid):
    camvid.samples[0][0].unlink()
    assert failure(camvid).path == camvid.samples[0][0]


def test_sizes_must_agree(camvid):
    image, mask = camvid.samples[0]
    write_mask(mask, range(11), size=(HEIGHT, WIDTH + 1))
    error = failure(camvid)
    assert error.path == mask
    assert f"`{image}`, {HEIGHT}x{WIDTH}" in error.problem
    assert f"got {HEIGHT}x{WIDTH + 1}" in error.problem


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    "damage", [truncate, lambda path: path.write_bytes(b""), lambda path: path.write_bytes(b"GIF89a")]
)
def test_corrupt_files(camvid, which, damage):
    path = camvid.samples[0][which]
    damage(path)
    error = failure(camvid)
    assert error.path == path
    assert "cannot be decoded" in error.problem


def test_truncated_jpeg(tmp_path):
    path = tmp_path / "a.jpg"
    write_image(path)
    truncate(path)
    with pytest.raises(DataError, match="truncated"):
        read_image(path)


def test_unknown_ids_are_listed_with_the_allowed_ones(camvid):
    write_mask(camvid.samples[0][1], [0, 5, 12, 200])
    error = failure(camvid)
    assert error.path == camvid.samples[0][1]
    assert "12, 200 (allowed: 0-11)" in error.problem


def test_many_unknown_ids_are_cut_short(camvid):
    write_mask(camvid.samples[0][1], range(100, 150))
    assert "107 and 42 more" in str(failure(camvid))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "F"])
def test_masks_need_one_channel_of_ids(tmp_path, mode):
    path = tmp_path / "mask.tiff"
    Image.new(mode, (4, 4)).save(path)
    with pytest.raises(DataError, match=f"one channel.*mode {mode}"):
        read_mask(path)


def test_masks_must_not_be_jpeg(tmp_path):
    path = tmp_path / "mask.jpg"
    write_image(path)
    with pytest.raises(DataError, match=r"cannot be decoded as mask.*PNG or BMP or TIFF"):
        read_mask(path)


@pytest.mark.parametrize(("largest", "fits"), [(255, True), (256, False), (40000, False)])
def test_sixteen_bit_masks(tmp_path, largest, fits):
    path = tmp_path / "mask.png"
    Image.fromarray(np.full((3, 5), largest, dtype=np.uint16)).save(path)
    if fits:
        assert read_mask(path).tolist() == [[255] * 5] * 3
        return
    with pytest.raises(DataError, match=f"ids up to {largest}"):
        read_mask(path)


def test_bilevel_masks_are_0_and_1(tmp_path):
    path = tmp_path / "mask.png"
    Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).convert("1").save(path)
    assert read_mask(path).tolist() == [[0, 1]]


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1"])
def test_images_of_any_mode_become_rgb(tmp_path, mode):
    path = tmp_path / "image.png"
    Image.new("RGB", (6, 4), (255, 255, 255)).convert(mode).save(path)
    image = read_image(path)
    assert image.shape == (3, 4, 6)
    assert image.dtype == torch.uint8
    assert (image == 255).all()


def test_images_are_rgb_in_that_order(tmp_path):
    path = tmp_path / "image.png"
    Image.new("RGB", (2, 2), (10, 20, 30)).save(path)
    assert read_image(path)[:, 0, 0].tolist() == [10, 20, 30]


def test_images_follow_their_exif_orientation(tmp_path):
    path = tmp_path / "image.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 16)).save(path, exif=exif)
    assert read_image(path).shape == (3, 8, 16)


def test_images_with_16_bits_are_refused(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(np.zeros((3, 5), dtype=np.uint16)).save(path)
    with pytest.raises(DataError, match="8 bits per channel"):
        read_image(path)


def test_errors_survive_the_way_out_of_a_worker():
    error = DataError("a/b.png", "is broken", "Mend it.")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.path, again.remedy) == (str(error), error.path, error.remedy)
