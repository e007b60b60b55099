"""Decoding, and what is said about files that cannot be decoded."""

import numpy as np
import pytest
import torch
from PIL import Image, features
from tests.data.fakes import truncate, write_image, write_tiff

from segdistill.data.headers import depth_of
from segdistill.data.limits import PIXELS_SWITCH
from segdistill.data.pictures import IMAGE_FORMATS, IMAGE_SUFFIXES, read_image, read_mask, size_of
from segdistill.util import DataError


def test_truncated_jpeg(tmp_path):
    path = tmp_path / "a.jpg"
    write_image(path)
    truncate(path)
    with pytest.raises(DataError, match="truncated"):
        read_image(path)


@pytest.mark.parametrize(
    ("mode", "has"), [("RGB", "the mode RGB"), ("RGBA", "alpha"), ("LA", "alpha"), ("F", "the mode F")]
)
def test_masks_need_one_channel_of_ids(tmp_path, mode, has):
    path = tmp_path / "mask.tiff"
    Image.new(mode, (4, 4)).save(path)
    with pytest.raises(DataError, match=f"one channel.*{has}"):
        read_mask(path)


def test_the_colours_of_a_mask_are_listed(tmp_path):
    path = tmp_path / "mask.png"
    Image.fromarray(np.uint8([[[0, 0, 0], [9, 8, 7], [0, 0, 0]]])).save(path)
    with pytest.raises(DataError, match=r"`data\.options\.colors: \[\[0, 0, 0\], \[9, 8, 7\]\]`"):
        read_mask(path)


@pytest.mark.parametrize(("suffix", "found"), [(".jpg", "JPEG"), (".webp", "WebP")])
def test_masks_must_not_be_lossy(tmp_path, suffix, found):
    path = tmp_path / f"mask{suffix}"
    write_image(path)
    with pytest.raises(
        DataError, match=rf"as mask: it is a {found} file, whose compression .* Save it as PNG, .*original"
    ):
        read_mask(path)


def test_a_gif_is_named_even_where_the_suffix_lies(tmp_path):
    path = tmp_path / "mask.png"
    Image.new("P", (4, 4)).save(path, format="GIF")
    with pytest.raises(DataError, match=r"as mask: it is a GIF file\. Save it as PNG, which keeps every pixel\."):
        read_mask(path)


def test_a_damaged_file_is_not_to_be_converted(tmp_path):
    path = tmp_path / "mask.png"
    path.write_bytes(b"\x89PNG and no more")
    with pytest.raises(DataError, match=r"\(damaged or unusual PNG\)\. Replace it"):
        read_mask(path)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(("largest", "kind"), [(255, np.uint8), (256, np.uint16), (65535, np.uint16)])
def test_sixteen_bit_masks(tmp_path, suffix, largest, kind):
    path = tmp_path / f"mask{suffix}"
    Image.fromarray(np.full((3, 5), largest, dtype=np.uint16)).save(path)
    ids = read_mask(path)
    assert ids.dtype == kind
    assert ids.tolist() == [[largest] * 5] * 3


def test_masks_of_32_bits(tmp_path):
    path, ids = tmp_path / "mask.tif", np.array([[0, 300, 7]], dtype=np.int32)
    Image.fromarray(ids).save(path)
    assert read_mask(path).tolist() == ids.tolist()
    Image.fromarray(np.array([[0, -1, -1, 70000]], dtype=np.int32)).save(path)
    with pytest.raises(DataError, match=r"0 to 65535; 3 of its 4 pixels hold others: -1, 70000\."):
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


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_the_channels_of_plain_tiffs(tmp_path, mode):
    Image.new("RGB", (2, 3), (255, 255, 255)).convert(mode).save(tmp_path / "image.tif")
    assert (read_image(tmp_path / "image.tif") == 255).all()
    assert depth_of((tmp_path / "image.tif").read_bytes())[2] == 0


def test_a_plain_tiff_is_read(tmp_path):
    write_tiff(tmp_path / "image.tif", 3, 8)
    assert read_image(tmp_path / "image.tif").shape == (3, 2, 3)


def test_the_bound_on_pixels_and_its_switch(tmp_path, monkeypatch):
    write_image(tmp_path / "image.png", size=(10, 25))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match=r"more than 200 pixels.*SEGDISTILL_MAX_PIXELS=NUMBER"):
        read_image(tmp_path / "image.png")
    assert size_of(tmp_path / "image.png") == (10, 25)  # by the header: nothing is decoded
    monkeypatch.setenv(PIXELS_SWITCH, "250")
    assert read_image(tmp_path / "image.png").shape == (3, 10, 25)
    assert size_of(tmp_path / "image.png") == (10, 25)


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.png", None, r"none\.png` does not exist\. Restore this (image|mask), or "),
        ("empty.png", b"", r"empty\.png` cannot be decoded as (image|mask) \(unknown format\)\. Replace it by "),
        ("a.gif", b"GIF89a", "it is a GIF file"),
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
    with pytest.raises(DataError, match=r"x\.png` has 40 x 30 = 1,200 pixels; more than 1,198 pixels are not") as error:
        read_image(tmp_path / "x.png")
    assert "--max-pixels 1200" in str(error.value)
    assert "damaged" not in str(error.value)
    assert read_image(tmp_path / "x.png", max_pixels=1200).shape == (3, 30, 40)
    Image.new("L", (40, 30)).save(tmp_path / "mask.png")
    with pytest.raises(DataError, match=r"SEGDISTILL_MAX_PIXELS=NUMBER\.$"):
        read_mask(tmp_path / "mask.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # somebody who wants no limit has none
    assert read_mask(tmp_path / "mask.png").shape == (30, 40)
