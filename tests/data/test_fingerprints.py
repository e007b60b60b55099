import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.fakes import make_folder, write_image

from segdistill.data import Folder, Images, Streets, read_image, same_pictures, scan
from segdistill.data.fingerprints import fingerprint


def scene(path, index=0, size=(96, 160), **options):
    """A drawn street as a file."""
    image, _ = Streets(split="train", size=size, num_images=index + 1).load(index)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(image.permute(1, 2, 0).numpy())).save(path, **options)
    return path


def twins(*paths):
    first, second = ([fingerprint(path, read_image(path))] for path in paths)
    return [twin.equal for twin in same_pictures(first, second)]


def test_equal_pixels_are_found_whatever_the_name_and_format(tmp_path):
    assert twins(scene(tmp_path / "a.png"), scene(tmp_path / "b.bmp")) == [True]


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_a_picture_saved_anew_is_found(tmp_path, quality):
    assert twins(scene(tmp_path / "a.png"), scene(tmp_path / "b.jpg", quality=quality)) == [False]


def test_a_picture_at_half_its_size_is_found(tmp_path):
    Image.open(scene(tmp_path / "a.png")).resize((80, 48)).save(tmp_path / "b.png")
    assert twins(tmp_path / "a.png", tmp_path / "b.png") == [False]


def test_other_pictures_are_not(tmp_path):
    train, val = (scan(Streets(split=s, num_images=60), fingerprints=True).fingerprints for s in ("train", "val"))
    assert len(train) == len(val) == 60
    assert list(same_pictures(train, val)) == []
    assert list(same_pictures([], val)) == list(same_pictures(train, [])) == []


def test_plain_pictures_are_told_by_their_pixels_alone():
    grey = [fingerprint(str(level), torch.full((3, 20, 30), level, dtype=torch.uint8)) for level in (99, 100, 100)]
    assert [(twin.second, twin.equal) for twin in same_pictures(grey[:1] + grey[2:], grey[1:2])] == [("100", True)]
    assert list(same_pictures(grey[:1], grey[1:])) == []


def test_every_picture_of_the_second_comes_once_in_its_order(tmp_path):
    root = make_folder(tmp_path, num_images=5)  # both splits have the same pictures
    write_image(root / "val/images/scene3.jpg", seed=77)
    reports = [scan(Folder(root, split), fingerprints=True).fingerprints for split in ("train", "val")]
    found = list(same_pictures(*reports))
    assert [(twin.first.name, twin.second.name) for twin in found] == [
        (f"scene{index}.jpg", f"scene{index}.jpg") for index in (0, 1, 2, 4)
    ]
    assert all(twin.equal for twin in found)


def test_a_scan_keeps_none_unless_asked(tmp_path):
    write_image(tmp_path / "a.png")
    assert scan(Images(tmp_path)).fingerprints == []
    assert [print_.path.name for print_ in scan(Images(tmp_path), fingerprints=True).fingerprints] == ["a.png"]
