"""Decoding, and what is said about files that cannot be decoded."""

import numpy as np
import pytest
import torch
from PIL import Image, features
from tests.data.fakes import truncate, write_image

from segdistill.data.pictures import IMAGE_FORMATS, IMAGE_SUFFIXES, read_image, read_mask, size_of
from segdistill.util import DataError


def test_truncated_jpeg(tmp_path):
    path = tmp_path / "a.jpg"
    write_image(path)
    truncate(path)
    with pytest.raises(DataError, match="truncated"):
        read_image(path)


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
    with pytest.raises(DataError, match=f"must hold ids from 0 to 255; it holds {largest}"):
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


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.png", None, r"none\.png` does not exist\. Restore this (image|mask), or "),
        ("empty.png", b"", r"empty\.png` cannot be decoded as (image|mask) \(unknown format\)\. Replace it by "),
        ("a.gif", b"GIF89a", "unknown format"),
        ("text.svg", b"<svg/>", "unknown format"),
    ],
)
def test_a_file_that_is_no_picture_is_named(tmp_path, read, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    for path in (tmp_path / name, str(tmp_path / name)):
        with pytest.raises(DataError, match=message) as caught:
            read(path)
        assert caught.value.path == tmp_path / name


@pytest.mark.parametrize("read", [read_image, read_mask])
def test_a_folder_is_no_picture(tmp_path, read):
    with pytest.raises(DataError, match=r"cannot be decoded as (image|mask) \(Is a directory\)"):
        read(tmp_path)


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_every_suffix_is_of_a_format_that_is_read(tmp_path, suffix):
    path = tmp_path / f"image{suffix}"
    write_image(path, size=(5, 7))
    assert read_image(path).shape == (3, 5, 7)
    with Image.open(path) as picture:
        assert picture.format in IMAGE_FORMATS


def test_every_format_has_a_suffix():
    Image.init()
    assert {Image.EXTENSION[suffix] for suffix in IMAGE_SUFFIXES} == set(IMAGE_FORMATS)
    assert features.check("webp")


def test_the_size_by_the_header(tmp_path):
    write_image(tmp_path / "image.png", size=(5, 7))
    assert size_of(tmp_path / "image.png") == (5, 7)
    truncate(tmp_path / "image.png")
    assert size_of(tmp_path / "image.png") == (5, 7)
    (tmp_path / "image.png").write_bytes(b"")
    assert size_of(tmp_path / "image.png") == size_of(tmp_path / "none.png") == (0, 0)


def test_a_picture_above_the_limit_is_called_too_large_and_not_damaged(tmp_path, monkeypatch):
    write_image(tmp_path / "x.png", size=(30, 40))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 599)  # Pillow refuses above twice as many
    with pytest.raises(
        DataError, match=r"x\.png` has 40 x 30 = 1200 pixels, which is above the limit of 1198"
    ) as error:
        read_image(tmp_path / "x.png")
    assert "--max-pixels 1200" in str(error.value)
    assert "damaged" not in str(error.value)
    assert size_of(tmp_path / "x.png") == (30, 40)
    assert read_image(tmp_path / "x.png", max_pixels=1200).shape == (3, 30, 40)
    Image.new("L", (40, 30)).save(tmp_path / "mask.png")
    with pytest.raises(DataError, match=r"Cut it into tiles, as its image\."):
        read_mask(tmp_path / "mask.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # somebody who wants no limit has none
    assert read_mask(tmp_path / "mask.png").shape == (30, 40)
