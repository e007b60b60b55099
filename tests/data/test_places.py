"""A place is a folder, or a folder in every scene."""

from pathlib import Path

import pytest

from segdistill.data.places import Place, fits


@pytest.fixture
def root(tmp_path):
    for name in (
        "one/rgb",
        "two/rgb",
        "two/label",
        ".hidden/rgb",
        "2024/mon_[1]/rgb",
        "2024/mon_2/rgb",
        "2024/tue/rgb",
    ):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "scenes"),
    [
        ("one/rgb", {"": "one/rgb"}),
        ("absent", {}),
        ("*/rgb", {"one/": "one/rgb", "two/": "two/rgb"}),
        ("*/label", {"two/": "two/label"}),
        ("2024/mon_*/rgb", {"mon_2/": "2024/mon_2/rgb", "mon_[1]/": "2024/mon_[1]/rgb"}),
        ("*/*/rgb", {f"2024/{day}/": f"2024/{day}/rgb" for day in ("mon_2", "mon_[1]", "tue")}),
        ("*", {f"{name}/": name for name in ("2024", "one", "two")}),
        ("absent/*", {}),
    ],
)
def test_folders_by_scene(root, name, scenes):
    found = Place.of(root, name).folders()
    assert found == {scene: root / folder for scene, folder in scenes.items()}
    assert list(found) == sorted(found)


def test_a_star_in_the_root_is_no_pattern(tmp_path):
    (tmp_path / "my*data/one/rgb").mkdir(parents=True)
    (tmp_path / "my other data/two/rgb").mkdir(parents=True)
    assert list(Place.of(tmp_path / "my*data", "*/rgb").folders()) == ["one/"]


def test_a_place_that_is_absolute(root):
    assert Place.of(Path("/elsewhere"), f"{root}/*/rgb") == Place.of(root, "*/rgb")


@pytest.mark.parametrize(
    ("name", "key", "file"),
    [
        ("rgb", "a/0", "rgb/a/0"),
        ("*/rgb", "a/0", "a/rgb/0"),
        ("*/rgb/*/left", "a/b/c/0", "a/rgb/b/left/c/0"),
        ("*/rgb", "0", "0"),
    ],
)
def test_where_the_file_of_a_key_would_be(name, key, file):
    assert Place.of(Path("d"), name).file(key) == Path("d", file)


def test_the_same_place_by_another_way(root):
    (root / "link").symlink_to(root / "2024")
    assert Place.of(root, "link/*/rgb").same_as(Place.of(root, "2024/*/rgb"))
    assert not Place.of(root, "*/rgb").same_as(Place.of(root, "*/label"))


def test_a_star_alone_is_special():
    assert fits("a[b]?", "a[b]?")
    assert not fits("ab", "a?")
    assert not fits("ab", "a[b]")
