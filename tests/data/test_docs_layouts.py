"""The layouts that docs/data.md shows open as they are shown, and its table has every option."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.data.fakes import HEIGHT, WIDTH, make_cvat, make_flat, make_scenes, write_image, write_mask

from segdistill.data import Folder, scan

PAGE = (Path(__file__).parents[2] / "docs/data.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## A folder of your own") : PAGE.index("## All data sets")]
SNIPPETS = [yaml.safe_load(text)["data"] for text in re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)]


def make_photos(root):
    for split in ("train", "val"):
        for seed in range(2):
            write_image(root / split / f"images/{seed}.jpg", seed)
            write_mask(root / split / f"masks/{seed}_mask.png", [0, 255])


def make_clothes(root):
    make_flat(root, images="photos", lists=True)
    for path in (root / "masks").iterdir():
        write_mask(path, range(6))
    (root / "classes.txt").unlink()
    (root / "labels.txt").write_text("null\njeans\nshorts\nshirt\nhat\nbag\n")


def make_scans(root):
    for seed, name in enumerate(f"p{patient:02d}_{index:03d}" for patient in range(12) for index in range(2)):
        write_image(root / f"images/{name}.png", seed)
        (root / "masks").mkdir(exist_ok=True)
        ids = np.random.default_rng(seed).choice(np.uint16([0, 1, 4, 1000, 7]), (HEIGHT, WIDTH))
        Image.fromarray(ids).save(root / f"masks/{name}.png")


def make_drives(root):
    names = [f"{drive}_{index}" for drive in "abcdefghij" for index in range(2)]
    make_flat(root, names=names, images="all", masks="all")
    for path in (root / "all").glob("*.png"):
        write_mask(path, [0, 1, 11])


def make_trips(root):
    make_scenes(root, [f"drive{number}" for number in range(1, 11)])


MAKE = {
    "photos": make_photos,
    "clothes": make_clothes,
    "scans": make_scans,
    "trips": make_trips,
    "task": make_cvat,
    "drives": make_drives,
}
CLASSES = {"photos": 2, "clothes": 4, "scans": 3, "trips": 3, "task": 3, "drives": 2}


@pytest.mark.parametrize("data", SNIPPETS, ids=lambda data: data["root"])
def test_a_layout_opens_as_shown(tmp_path, data):
    MAKE[data["root"]](tmp_path)
    sets = [Folder(tmp_path, split, **data["options"]) for split in ("train", "val")]
    assert not {*sets[0].samples} & {*sets[1].samples}
    for dataset in sets:
        report = scan(dataset)
        assert report.faults == []
        assert report.missing_classes == []
        assert dataset.labels.num_classes == CLASSES[data["root"]]


def test_six_layouts_are_shown():
    assert [data["root"] for data in SNIPPETS] == list(MAKE)


def test_every_option_has_a_row():
    rows = re.findall(r"^\| `(\w+)` \|", SECTION, re.MULTILINE)
    _, _, *options = inspect.signature(Folder).parameters
    assert rows == options
