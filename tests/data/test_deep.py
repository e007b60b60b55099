"""Images of 16 bits and of any number of channels, from the file to a batch; nothing is cut in silence."""

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from tests.data.fakes import write_deep_png, write_tiff

from segdistill.data import (
    Folder,
    Prepared,
    Source,
    channel_statistics,
    eval_loader,
    prepare,
    preview,
    read_image,
    scan,
    train_loader,
)
from segdistill.data.deep import deep_samples
from segdistill.data.headers import depth_of
from segdistill.data.limits import PIXELS_SWITCH
from segdistill.data.pictures import channels_of, size_of
from segdistill.util import DataError, UnavailableError

RNG = np.random.default_rng(0)


def deep(*shape, top=65536):
    return RNG.integers(0, top, shape).astype(np.uint16)


def test_16_bit_rgb_png_keeps_all_bits(tmp_path):
    write_deep_png(tmp_path / "a.png")  # 0, 10000, ..., 50000
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == "RGB"  # Pillow would cut it to 8 bits and say nothing
    image = read_image(tmp_path / "a.png")
    assert image.dtype == torch.float32
    assert (image * 65535).round().permute(1, 2, 0).flatten().tolist() == [*range(0, 60000, 10000)]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_grey_is_repeated_or_one_channel(tmp_path, suffix):
    values, path = deep(4, 5), tmp_path / f"a{suffix}"
    Image.fromarray(values).save(path)
    for channels in (1, 3):
        image = read_image(path, channels=channels)
        assert image.shape == (channels, 4, 5)
        assert ((image * 65535).round().numpy() == values).all()


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_tiffs_of_many_channels(tmp_path, compression, planar, tile):
    values = deep(40, 37, 5)
    stored = values if planar == "contig" else np.ascontiguousarray(values.transpose(2, 0, 1))
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack", planarconfig=planar, compression=compression,
                     tile=tile)  # fmt: skip
    image = read_image(tmp_path / "a.tif", channels=5)
    assert ((image * 65535).round().permute(1, 2, 0).numpy() == values).all()
    assert image.permute(1, 2, 0).is_contiguous()  # which resizes faster


def test_pages_of_one_size_are_channels(tmp_path):
    values = deep(3, 8, 9)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack")
    assert ((read_image(tmp_path / "a.tif") * 65535).round().numpy() == values).all()


def test_8_bit_channels_stay_bytes(tmp_path):
    values = RNG.integers(0, 256, (6, 7, 4)).astype(np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", values, photometric="rgb", extrasamples=["unspecified"])
    for name in ("a.png", "b.tif"):
        image = read_image(tmp_path / name, channels=4)
        assert image.dtype == torch.uint8
        assert (image.permute(1, 2, 0).numpy() == values).all()
    assert read_image(tmp_path / "a.png").shape == (3, 6, 7)  # the fourth is alpha there, and goes


def test_alpha_of_a_deep_image_is_dropped(tmp_path):
    values = deep(6, 7, 4)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["unassalpha"])
    assert ((read_image(tmp_path / "a.tif") * 65535).round().permute(1, 2, 0).numpy() == values[..., :3]).all()
    assert read_image(tmp_path / "a.tif", channels=4).shape == (4, 6, 7)


@pytest.mark.parametrize(("orientation", "turn"), [
    (1, lambda x: x), (2, np.fliplr), (3, lambda x: np.rot90(x, 2)), (4, np.flipud),
    (5, lambda x: x.transpose(1, 0, 2)), (6, lambda x: np.rot90(x, -1)),
    (7, lambda x: np.rot90(x, 2).transpose(1, 0, 2)), (8, np.rot90),
])  # fmt: skip
def test_deep_tiffs_are_turned_upright(tmp_path, orientation, turn):
    values = deep(4, 6, 3)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    assert ((read_image(tmp_path / "a.tif") * 65535).round().permute(1, 2, 0).numpy() == turn(values)).all()
    bytes_ = (values >> 8).astype(np.uint8)  # as Pillow turns images of 8 bits
    tifffile.imwrite(tmp_path / "b.tif", bytes_, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    assert (read_image(tmp_path / "b.tif").permute(1, 2, 0).numpy() == turn(bytes_)).all()


@pytest.mark.parametrize(
    ("found", "bits", "channels", "said"),
    [
        (
            4,
            8,
            3,
            r"must have the channels red, green and blue, or grey; it has 4\. .* `data.channels=4`",
        ),
        (6, 16, 3, r"it has 6\. Read them all with `data.channels=6`"),
        (3, 8, 4, "must have 4 channels; it has 3"),
        (3, 16, 1, "must have 1 channel; it has 3"),
    ],
)
def test_other_channels_are_refused(tmp_path, found, bits, channels, said):
    write_tiff(tmp_path / "a.tif", found, bits)
    with pytest.raises(DataError, match=said):
        read_image(tmp_path / "a.tif", channels=channels)


@pytest.mark.parametrize("kind", [np.float32, np.int16, np.uint32])
def test_other_numbers_are_refused(tmp_path, kind):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((4, 4), kind))
    with pytest.raises(DataError, match=f"8 or 16 bits without a sign; it holds {np.dtype(kind)}. Save it as 16-bit"):
        read_image(tmp_path / "a.tif", channels=1)


def test_volumes_and_damaged_files_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, deep(2, 3, 4, 5), photometric="minisblack")
    with pytest.raises(DataError, match="must hold one image; it holds an array"):
        read_image(path)
    tifffile.imwrite(path, deep(30, 30, 3), photometric="rgb", compression="zlib")
    content = bytearray(path.read_bytes())
    content[-200:] = bytes(200)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be decoded as image"):
        read_image(path)


def test_the_limit_holds_before_decoding(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", deep(20, 20, 3), photometric="rgb")
    with pytest.raises(DataError, match=r"20 x 20 = 400 pixels; more than 399 .* SEGDISTILL_MAX_PIXELS"):
        read_image(tmp_path / "a.tif", 399)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(DataError, match="more than 20 pixels"):
        read_image(tmp_path / "a.tif")
    monkeypatch.setenv(PIXELS_SWITCH, "400")
    assert read_image(tmp_path / "a.tif").shape == (3, 20, 20)


def test_missing_libraries_say_how_to_install_them(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "imagecodecs", None)
    with pytest.raises(UnavailableError, match=r'a.png has more than 8 bits .* pip install "segdistill\[deep\]"'):
        deep_samples(tmp_path / "a.png", b"", None)


def test_what_a_header_says(tmp_path):
    write_tiff(tmp_path / "a.tif", 9, 16)
    assert channels_of(tmp_path / "a.tif") == (9, 16)
    assert depth_of((tmp_path / "a.tif").read_bytes()) == (16, 9, 6)
    assert size_of(tmp_path / "a.tif") == (2, 3)
    Image.new("RGBA", (2, 2)).save(tmp_path / "b.png")
    assert channels_of(tmp_path / "b.png") == (3, 8)


@pytest.fixture
def satellite(tmp_path):
    """Four images of 5 bands with 12 of 16 bits in use, and masks."""
    values = deep(4, 40, 48, 5, top=4096)
    for split, numbers in (("train", range(3)), ("val", range(3, 4))):
        for kind in ("images", "masks"):
            (tmp_path / "data" / split / kind).mkdir(parents=True)
        for number in numbers:
            folder = tmp_path / "data" / split
            tifffile.imwrite(folder / "images" / f"{number}.tif", values[number], photometric="minisblack",
                             planarconfig="contig")  # fmt: skip
            Image.fromarray((values[number, ..., 0] > 2000).astype(np.uint8)).save(folder / "masks" / f"{number}.png")
    (tmp_path / "data" / "classes.txt").write_text("low\nhigh\n")
    return tmp_path / "data", values


def of(root, split, channels=5):
    dataset = Folder(root, split)
    dataset.channels = channels
    return dataset


def test_statistics_are_those_of_all_pixels(satellite):
    root, values = satellite
    found = channel_statistics(of(root, "train"), num_workers=2)
    pixels = values[:3].reshape(-1, 5) / 65535
    assert np.allclose(found.mean, pixels.mean(0))
    assert np.allclose(found.std, pixels.std(0))
    assert np.allclose((found.low, found.high), (pixels.min(0), pixels.max(0)))
    assert found.num_images == 3
    assert found.overrides[0].startswith("model.options.mean=[0.03")


def test_statistics_of_bytes_and_of_a_constant_channel(tmp_path):
    (tmp_path / "train" / "images").mkdir(parents=True)
    (tmp_path / "train" / "masks").mkdir()
    picture = np.zeros((2, 2, 3), np.uint8)
    picture[0, :, 0] = 255
    Image.fromarray(picture).save(tmp_path / "train" / "images" / "a.png")
    Image.fromarray(picture[..., 0] // 255).save(tmp_path / "train" / "masks" / "a.png")
    (tmp_path / "classes.txt").write_text("a\nb\n")
    found = channel_statistics(Folder(tmp_path, "train"))
    assert found.mean == (0.5, 0, 0)
    assert found.std == (0.5, 1.0, 1.0)  # not 0: it is divided by


def test_batches_of_any_channels(satellite):
    root, values = satellite
    arguments = {"crop_size": (64, 32), "batch_size": 2, "seed": 0, "num_steps": 3, "fill": (25.5, 0, 0, 0, 51)}
    for batch in train_loader(of(root, "train"), **arguments):
        assert batch.image.shape == (2, 5, 64, 32)
        assert batch.image.dtype == torch.float32
        assert batch.image.min() >= 0
        padded = batch.image.permute(0, 2, 3, 1)[batch.target == 255]
        assert (padded == torch.tensor([26, 0, 0, 0, 51]) / 255).all()
        assert batch.image.permute(0, 2, 3, 1)[batch.target != 255].max() <= 4096 / 65535
    (batch,) = eval_loader(of(root, "val"))
    assert ((batch.image[0] * 65535).round().permute(1, 2, 0).numpy() == values[3]).all()


def test_the_cache_keeps_all_bits(satellite, tmp_path):
    root, _ = satellite
    source = Source("folder", {}, of(root, "train"))
    assert prepare([source], tmp_path / "cache") == []
    cached = Prepared(source, tmp_path / "cache")
    assert np.load(tmp_path / "cache" / "folder-train" / "000000.image.npy").dtype == np.uint16
    for index in range(3):
        assert torch.equal(cached.load(index)[0], source.dataset.load(index)[0])
    with pytest.raises(DataError, match="options"):
        Prepared(Source("folder", {}, of(root, "train", 3)), tmp_path / "cache")


def test_8_bit_files_among_deep_ones_are_brought_to_one_scale(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / "train" / kind).mkdir(parents=True)
    tifffile.imwrite(tmp_path / "train" / "images" / "a.tif", np.full((8, 8, 3), 65535, np.uint16), photometric="rgb")
    Image.new("RGB", (8, 8), (255, 255, 255)).save(tmp_path / "train" / "images" / "b.png")
    for name in "ab":
        Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / "train" / "masks" / f"{name}.png")
    (tmp_path / "classes.txt").write_text("x\ny\n")
    arguments = {"crop_size": (8, 8), "batch_size": 2, "seed": 0, "num_steps": 1, "fill": (0, 0, 0)}
    loader = train_loader(Folder(tmp_path, "train"), scale_range=(1, 1), **arguments)
    assert [batch.image.unique().tolist() for batch in loader] == [[1.0]]


def test_scans_and_previews(satellite):
    root, _ = satellite
    report = scan(of(root, "train"), fingerprints=True)
    assert report.faults == []
    assert len(report.fingerprints) == 3
    faults = scan(of(root, "train", 3)).faults
    assert len(faults) == 3
    assert "data.channels=5" in faults[0].remedy


def test_a_preview_is_stretched_and_bytes_stay():
    ramp = torch.linspace(0, 0.0625, 1000).reshape(1, 10, 100).expand(5, -1, -1)
    shown = preview(ramp)
    assert (shown.shape, shown.dtype) == ((3, 10, 100), torch.uint8)
    assert shown.min() == 0
    assert shown.max() == 255
    assert 120 < shown.float().mean() < 135
    assert preview(torch.zeros(1, 2, 2)).tolist() == [[[0, 0], [0, 0]]] * 3
    picture = torch.randint(0, 256, (3, 4, 5), dtype=torch.uint8)
    assert preview(picture) is not None
    assert torch.equal(preview(picture), picture)
