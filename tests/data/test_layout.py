import pytest
from tests.data.fakes import make_camvid, write_image

from segdistill.data import CamVid
from segdistill.data.layout import by_stem, files, inside, pair, read_names, require
from segdistill.util import DataError, DatasetNotFoundError


def test_a_stem_twice_is_an_error(tmp_path):
    make_camvid(tmp_path)
    write_image(tmp_path / "train" / "0001TP_006690.jpg")
    with pytest.raises(DataError, match=r"two files named 0001TP_006690.*\.jpg and .*\.png.*Remove"):
        CamVid(tmp_path, "train")


def test_an_empty_folder_is_an_error(tmp_path):
    for folder in ("train", "trainannot"):
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(DatasetNotFoundError, match="holds none"):
        CamVid(tmp_path, "train")


def test_what_is_missing_first_is_named(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(DatasetNotFoundError, match=r"/b` must exist, but does not\. Unpack it\."):
        require(tmp_path, "a", "b", "c", layout="Unpack it.")
    assert require(tmp_path, "a", layout="") == (tmp_path / "a",)


def test_hidden_files_and_other_suffixes_are_passed_over(tmp_path):
    for name in ("b.PNG", "a.tif", ".c.png", "d.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in files(tmp_path)] == ["a.tif", "b.PNG"]
    assert [path.name for path in files(tmp_path, [".txt"])] == ["d.txt"]


def test_endings_are_cut_off_and_others_left_out(tmp_path):
    for name in ("x_image.png", "y_image.png", "x_other.png"):
        (tmp_path / name).touch()
    assert list(by_stem(tmp_path, "_image")) == ["x", "y"]


def test_an_image_without_a_mask_has_the_path_of_its_mask(tmp_path):
    for name in ("images/a.jpg", "images/b.jpg", "masks/b_ids.png", "masks/c_ids.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    images, masks = tmp_path / "images", tmp_path / "masks"
    samples, unpaired = pair(images, masks, mask_ending="_ids")
    assert samples == [(images / "a.jpg", masks / "a_ids.png"), (images / "b.jpg", masks / "b_ids.png")]
    assert unpaired == [masks / "c_ids.png"]


def test_lists_of_names(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("a\n\n  b.c \n")
    assert read_names(path) == ["a", "b.c"]
    path.write_text("".join(f"../{index}\n" for index in range(10)))
    with pytest.raises(DataError, match=r"must list plain file names, got \.\./0, .* and 2 more\. Leave out"):
        read_names(path)


def test_a_link_may_stay_inside(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a").touch()
    (tmp_path / "b").touch()
    for name, target in (("near", "data/a"), ("far", "b")):
        (tmp_path / "data" / name).symlink_to(tmp_path / target)
    assert inside(tmp_path / "data/near", tmp_path / "data") == tmp_path / "data/near"
    with pytest.raises(DataError, match=r"far` is a link that leaves .*\. Replace the link"):
        inside(tmp_path / "data/far", tmp_path / "data")
