import pytest
from tests.data.fakes import write_image

from segdistill.prediction.sources import find_images, read_list
from segdistill.util import ImageError, MissingFileError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def places(*sources, but=()):
    found = find_images(sources, but=but)
    assert len(found.images) == len(found.places)
    return {place.as_posix(): image.name for place, image in zip(found.places, found.images, strict=True)}


def test_a_file_a_folder_and_a_pattern(tmp_path):
    touch(tmp_path, "b.png", "deep/er/a.JPG", "deep/c.webp", "notes.txt")
    assert places(tmp_path / "b.png") == {"b": "b.png"}
    assert places(str(tmp_path)) == {"b": "b.png", "deep/c": "c.webp", "deep/er/a": "a.JPG"}
    assert places(tmp_path / "deep/er/*") == {"a": "a.JPG"}
    assert places(tmp_path / "deep/**/*") == {"c": "c.webp", "er/a": "a.JPG"}
    assert places(f"{tmp_path}/**/*.png") == {"b": "b.png"}


def test_several_sources_keep_what_lies_below_their_common_folder(tmp_path):
    touch(tmp_path, "x/1.png", "x/2.png", "y/1.png")
    assert places(tmp_path / "x/1.png", tmp_path / "x/2.png") == {"1": "1.png", "2": "2.png"}
    assert list(places(tmp_path / "x", tmp_path / "y/*.png")) == ["x/1", "x/2", "y/1"]
    assert list(places(tmp_path / "x", tmp_path / "x/1.png")) == ["1", "2"]


def test_what_is_no_picture_is_skipped(tmp_path):
    touch(tmp_path, "a.png", "._a.png", ".hidden.png", ".cache/b.png", "b.gif", "__MACOSX/._a.png", "c.png/d.png")
    assert list(places(tmp_path)) == ["a", "c.png/d"]
    found = find_images([tmp_path / "a.png", tmp_path / "._a.png", tmp_path / "b.gif"])
    assert [path.name for path in found.images] == ["a.png"]
    assert [path.name for path in found.skipped] == ["._a.png", "b.gif"]


def test_a_hidden_folder_may_be_the_source(tmp_path):
    touch(tmp_path, ".data/a.png")
    assert list(places(tmp_path / ".data")) == ["a"]


def test_own_outputs_are_left_out(tmp_path):
    touch(tmp_path, "a.png", "out/masks/a.png", "old/masks/a.png", "old/overlays/a.jpg", "old/predictions.json")
    assert list(places(tmp_path, but=[tmp_path / "out/masks"])) == ["a"]
    assert list(places(tmp_path / "old/overlays")) == ["a"]  # asked for by name


def test_the_suffix_is_kept_only_where_two_images_differ_in_it_alone(tmp_path):
    touch(tmp_path, "a.png", "a.jpg", "b.png", "deep/a.png", "a.jpg.png", "c.d.png")
    assert places(tmp_path) == {
        "a.png": "a.png", "a.jpg": "a.jpg", "b": "b.png", "deep/a": "a.png", "a.jpg.png": "a.jpg.png", "c.d": "c.d.png",
    }  # fmt: skip


def test_what_is_missing_is_named_beside_what_is_there(tmp_path):
    touch(tmp_path, "a.png")
    found = find_images([tmp_path / "a.png", tmp_path / "none.png", tmp_path / "*.jpg"])
    assert [(path.name, reason) for path, reason in found.missing] == [
        ("none.png", "does not exist"), ("*.jpg", "matches no file"),
    ]  # fmt: skip


@pytest.mark.parametrize("source", ["", "nothing", "*.jpg", "none/**/*.png", "notes.txt"])
def test_no_image_at_all_is_an_error(tmp_path, source):
    touch(tmp_path, "notes.txt")
    with pytest.raises(ImageError, match="names no image: give images, a folder of images or a quoted glob"):
        find_images([f"{tmp_path}/{source}"])
    with pytest.raises(ImageError, match="nothing names no image"):
        find_images([])


def test_a_list_names_paths_relative_to_here_or_to_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(touch(tmp_path, "here.png", "set/there.png"))
    write_image(tmp_path / "set/there.png")
    (tmp_path / "set/list.txt").write_bytes(b"\xef\xbb\xbfhere.png\r\n\r\nthere.png\r\nnone.png\r\n")
    assert [path.as_posix() for path in read_list(tmp_path / "set/list.txt")] == [
        "here.png", (tmp_path / "set/there.png").as_posix(), "none.png",
    ]  # fmt: skip


def test_a_list_that_is_none(tmp_path):
    with pytest.raises(MissingFileError, match="there is no such file"):
        read_list(tmp_path / "none.txt")
    (tmp_path / "list.txt").write_bytes(b"\n\n")
    with pytest.raises(ImageError, match="it is empty"):
        read_list(tmp_path / "list.txt")
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ImageError, match="not UTF-8"):
        read_list(tmp_path / "list.txt")
