"""Classes and their ids as options and files give them."""

import numpy as np
import pytest
from PIL import Image

from segdistill.data.classes import class_table
from segdistill.data.colors import ColorCode
from segdistill.util import DataError


def table(root, **options):
    given = {"classes": None, "labels": None, "colors": None, "ignore": (), "others": "error"} | options
    return class_table(root, **given)


def ids(root, **options):
    return table(root, **options)[0].id_to_train_id


@pytest.mark.parametrize(
    "options",
    [
        {"classes": ["a", "b"]},
        {"classes": {0: "a", 1: "b"}},
        {"classes": {"0": "a", "1": "b"}},
        {"classes": {"a": 0, "b": 1}},
        {"labels": {"a": 0, "b": 1}},
    ],
)
def test_the_same_classes_in_five_ways(tmp_path, options):
    labels = table(tmp_path, **options)[0]
    assert labels.names == ("a", "b")
    assert labels.id_to_train_id == {0: 0, 1: 1, 255: 255}


@pytest.mark.parametrize("name", ["classes.txt", "labels.txt", "other.txt"])
@pytest.mark.parametrize("content", [b"a\nb", b"\xef\xbb\xbfa\r\nb\r\n\r\n\r\n", b" a \nb\t\n"])
def test_a_file_of_names(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    given = {"classes": name} if name == "other.txt" else {}
    assert table(tmp_path, **given)[0].names == ("a", "b")


def test_sparse_merged_and_large_ids(tmp_path):
    labels = {"background": 0, "road": [1, 4], "car": 200, "sky": 40000}
    assert ids(tmp_path, labels=labels, ignore=[11]) == {0: 0, 1: 1, 4: 1, 200: 2, 40000: 3, 11: 255, 255: 255}
    assert ids(tmp_path, classes=labels, ignore=[11]) == ids(tmp_path, labels=labels, ignore=[11])


def test_255_is_a_class_when_it_is_named(tmp_path):
    assert ids(tmp_path, labels={"background": 0, "object": 255}) == {0: 0, 255: 1}
    assert ids(tmp_path, classes={0: "background", 255: "object"}) == {0: 0, 255: 1}
    assert ids(tmp_path, labels={"a": 0, "b": 1, "c": 255}, ignore=[255]) == {0: 0, 1: 1, 255: 255}


def test_names_of_the_class_list(tmp_path):
    (tmp_path / "labels.txt").write_text("null\njeans\npants\nhat\nbag\n")
    labels = {"background": "null", "trousers": ["jeans", 2], "rest": []}
    with pytest.raises(ValueError, match=r"`labels\.rest` must have an id; got none"):
        ids(tmp_path, labels=labels)
    assert ids(tmp_path, labels=labels | {"rest": "hat"}) == {0: 0, 1: 1, 2: 1, 3: 2, 255: 255}
    assert ids(tmp_path, labels=labels, others="rest") == {0: 0, 1: 1, 2: 1, 3: 2, 4: 2, 255: 255}


@pytest.mark.parametrize("content", ["7: a\n9: b\n", "7, a\n9, b", "Pixel Value, Class\n 7, a\n 9, b\n"])
def test_a_file_of_ids_and_names(tmp_path, content):
    (tmp_path / "_classes.csv").write_text(content)
    assert ids(tmp_path, classes="_classes.csv") == {7: 0, 9: 1, 255: 255}


def test_the_file_of_cvat_has_colours(tmp_path):
    (tmp_path / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\na leaf:1,2,3:x:y\n")
    labels, code = table(tmp_path)
    assert labels.names == ("background", "a leaf")
    assert labels.colors == ((0, 0, 0), (1, 2, 3))
    Image.new("RGB", (2, 1), (1, 2, 3)).save(tmp_path / "a.png")
    assert code.read(tmp_path / "a.png").tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, r"`classes` or `labels` must be given, or `.*classes\.txt` exist"),
        ({"classes": "sky, road"}, r"must be names, as in \[sky, road\], or a file; `.*sky, road` is none"),
        ({"classes": ["object"]}, r"two classes.*got `object` alone\. The background is a class too.*object: 255\}`"),
        ({"classes": ["a", "b"], "ignore": [1]}, "got `a` alone"),
        ({"classes": ["a", None]}, "`classes` must be names; got None.*Put quotes"),
        ({"classes": ["a", "a"]}, "more than once"),
        ({"labels": {"a": [0, 1], "b": 1}}, "each id once; got 1 in `a` and `b`"),
        ({"labels": {"a": 0, "b": "sky"}}, r"`labels\.b` must be ids, or names .*; got 'sky'\. No class list"),
        ({"classes": ["sky", "b"], "labels": {"a": 0, "b": "sly"}}, r"Nearest names: sky"),
        ({"labels": {"a": 0, "b": None}}, "got null.*Put quotes"),
        ({"labels": {"a": 0, False: 1}}, "names as keys; got False.*Put quotes"),
        ({"labels": {"a": 0, "b": 1.5}}, r"got 1\.5"),
        ({"labels": {"a": 0, "b": True}}, "got True"),
        ({"labels": {"a": 0, "b": -1}}, "distinct ids from 0 to 65535"),
        ({"labels": {"a": 0, "b": 65536}}, "distinct ids from 0 to 65535"),
        ({"labels": [0, 1]}, "ids by class, such as"),
        ({"classes": ["a", "b"], "ignore": 11}, r"a list of ids, such as \[11\]; got 11"),
        ({"classes": ["a", "b"], "ignore": ["x"]}, "a list of ids"),
        ({"classes": ["a", "b"], "others": "ignroe"}, r"`others` must be 'error', 'ignore' or .*Nearest names: ignore"),
        ({"classes": ["a", "b"], "others": "b"}, "or a class of `labels`"),
        ({"labels": {"a": 0, "b": 1}, "others": "b"}, "must have a class list to take the rest from"),
        ({"classes": ["a", "b"], "colors": [[0, 0, 0]]}, "one colour per name, 2; got 1"),
        ({"classes": ["a", "b"], "colors": [[0, 0, 0], [1, 2]]}, r"three numbers from 0 to 255 each; got \[1, 2\]"),
        ({"classes": ["a", "b"], "colors": [[0, 0, 0], [0, 0, 256]]}, "0 to 255"),
    ],
)
def test_bad_options(tmp_path, options, said):
    with pytest.raises(ValueError, match=said):
        table(tmp_path, **options)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"a\n\nb\n", b"\xff\xfea\x00"])
def test_bad_files(tmp_path, content):
    (tmp_path / "classes.txt").write_bytes(content)
    with pytest.raises(DataError, match=r"classes\.txt` must "):
        table(tmp_path)


def test_colours_of_no_class(tmp_path):
    path = tmp_path / "mask.png"
    Image.fromarray(np.uint8([[[9, 9, 9], [1, 0, 0], [1, 0, 0]]])).save(path)
    with pytest.raises(
        DataError, match=r"does not have: \[1, 0, 0\], in 2 of 3 pixels.*`data\.options\.others: ignore`"
    ):
        table(tmp_path, classes=["a", "b"], colors=[[0, 0, 0], [9, 9, 9]])[1].read(path)
    code = table(tmp_path, classes=["a", "b"], colors=[[0, 0, 0], [9, 9, 9]], others="ignore")[1]
    assert code.read(path).tolist() == [[1, 65535, 65535]]


def test_colours_of_sparse_ids(tmp_path):
    path = tmp_path / "mask.png"
    Image.fromarray(np.uint8([[[9, 9, 9], [0, 0, 0]]])).save(path)
    labels, code = table(tmp_path, classes={"a": 7, "b": 300}, colors=[[0, 0, 0], [9, 9, 9]])
    assert code.read(path).tolist() == [[300, 7]]
    assert labels.colors == ((0, 0, 0), (9, 9, 9))


def test_transparent_masks(tmp_path):
    path = tmp_path / "mask.png"
    code = ColorCode([[0, 0, 0], [9, 9, 9]], [0, 1])
    Image.new("RGBA", (1, 1), (9, 9, 9, 255)).save(path)
    assert code.read(path).tolist() == [[1]]
    Image.new("RGBA", (1, 1), (9, 9, 9, 0)).save(path)
    with pytest.raises(DataError, match="transparent"):
        code.read(path)
