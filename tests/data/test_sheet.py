import numpy as np
import pytest
from PIL import Image
from tests.data.fakes import make_folder, truncate, write_image, write_mask

from segdistill.data import Folder, Images, contact_sheet, scan
from segdistill.data.sheet import MAX_TILES, choose_tiles


def seen(root, *splits):
    sets = {split: Folder(root, split) for split in splits}
    return sets, {split: scan(dataset) for split, dataset in sets.items()}


def names(sets, tiles):
    return [(tile.split, sets[tile.split].path(tile.position).stem) for tile in tiles]


def ids(*counts, size=(10, 10)):
    """A mask in which class k fills counts[k] pixels."""
    flat = np.repeat(np.arange(len(counts)), counts)
    return np.pad(flat, (0, size[0] * size[1] - len(flat)), constant_values=255).reshape(size).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Classes a, b, c; b is the rarest."""

    def make(masks, split="train"):
        for name, mask in masks.items():
            for kind, picture in (("images", np.full((*mask.shape, 3), 90, np.uint8)), ("masks", mask)):
                file = tmp_path / split / kind / f"{name}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(file)
        (tmp_path / "classes.txt").write_text("a\nb\nc\n")
        return tmp_path

    return make


def test_every_class_has_the_sample_that_shows_most_of_it_and_the_rarest_comes_first(folder):
    root = folder({"x": ids(50, 3, 20), "y": ids(60, 1, 30), "z": ids(40, 2, 10)})
    sets, reports = seen(root, "train")
    tiles = choose_tiles(sets, reports)
    assert names(sets, tiles) == [("train", "x"), ("train", "y"), ("train", "y")]
    assert [tile.reason.split(",")[0] for tile in tiles] == ["most of b", "most of c", "most of a"]
    assert not any(tile.alarming for tile in tiles)


def test_faults_and_masks_without_a_label_come_before(folder):
    root = folder({"fine": ids(50, 3, 20), "odd": ids(50, 3, 20, 9), "void": ids()})
    sets, reports = seen(root, "train")
    tiles = choose_tiles(sets, reports)
    assert names(sets, tiles)[:2] == [("train", "odd"), ("train", "void")]
    assert [tile.alarming for tile in tiles] == [True, True, False, False, False]


def test_a_sheet_of_many_faults_stays_small(folder):
    root = folder({f"m{number:03d}": ids(9, 9, 9, 9) for number in range(MAX_TILES + 5)})
    sets, reports = seen(root, "train")
    assert len(choose_tiles(sets, reports)) < 20


def test_pixels_have_the_colours_of_their_classes_and_void_those_of_the_image(folder):
    mask = np.full((225, 300), 255, np.uint8)
    mask[:, :150] = 2
    root = folder({"half": mask})
    sets, reports = seen(root, "train")
    sheet = np.asarray(contact_sheet(sets, reports)).astype(int)
    color = np.array(sets["train"].labels.colors[2])
    assert np.abs(sheet[100, 12 + 60] - (color + 90) / 2).max() <= 1
    assert np.abs(sheet[100, 12 + 250] - 90).max() <= 1


def test_samples_that_cannot_be_read_have_their_reason(tmp_path):
    root = make_folder(tmp_path, num_images=4)
    truncate(root / "train/images/scene0.jpg")
    write_mask(root / "train/masks/scene1.png", range(3), size=(5, 6))
    (root / "val/masks/scene2.png").write_bytes(b"no picture")
    sets, reports = seen(root, "train", "val")
    assert names(sets, choose_tiles(sets, reports))[:3] == [
        ("train", "scene0"), ("train", "scene1"), ("val", "scene2"),
    ]  # fmt: skip
    sheet = np.asarray(contact_sheet(sets, reports))
    assert sheet.ndim == 3
    assert (sheet == (176, 32, 32)).all(-1).sum() > 100


def test_images_alone_have_no_sheet(tmp_path):
    write_image(tmp_path / "a.png")
    images = Images(tmp_path, "all", classes=["a", "b"])
    with pytest.raises(ValueError, match="no sample of any split has one"):
        contact_sheet({"all": images}, {"all": scan(images)})
