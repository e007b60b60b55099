import json
import subprocess
import sys

import pytest

from segdistill.labels import ClassLabel, LabelTable, palette


def test_json_round_trip():
    table = LabelTable.from_names(["a", "void", "b"], [[1, 2, 3], [0, 0, 0], [4, 5, 6]], ignored=[1, 255])
    assert LabelTable.from_json(json.loads(json.dumps(table.to_json()))) == table


@pytest.mark.parametrize("broken", [{}, {"name": "x"}, {"name": "x", "labels": [{}]}, {"name": "x", "labels": 3}])
def test_from_json_refuses_other_dictionaries(broken):
    with pytest.raises(ValueError, match=r"LabelTable\.to_json"):
        LabelTable.from_json(broken)


def test_palette_is_distinct_and_a_prefix():
    assert len(set(palette(255))) == 255
    assert palette(255)[:9] == palette(9)


def test_from_names_closes_the_gap_of_ignored_classes():
    table = LabelTable.from_names(["a", "void", "b"], [[1, 2, 3], [0, 0, 0], [4, 5, 6]], ignored=[1, 255])
    assert table.id_to_train_id == {0: 0, 1: 255, 2: 1, 255: 255}
    assert table.names == ("a", "b")
    assert table.colors == ((1, 2, 3), (4, 5, 6))


@pytest.mark.parametrize(
    ("names", "colors", "ignored", "message"),
    [
        (["a", "b", "a"], None, [], "must differ from each other; got `a` more than once"),
        (["a", "b"], [[0, 0, 0]], [], "one colour per name, 2; got 1"),
        (["a"], [[0, 0]], [], "three numbers"),
        (["a"], [[0, 0, 256]], [], r"0 to 255; got \(0, 0, 256\) for `a`"),
        ([], None, [], "1 to 255 train ids"),
        (["a"], None, [65536], "distinct ids from 0 to 65535"),
        (["a"], None, [-1], "distinct ids from 0 to 65535"),
    ],
)
def test_from_names_refuses(names, colors, ignored, message):
    with pytest.raises(ValueError, match=message):
        LabelTable.from_names(names, colors, ignored=ignored)


def test_several_ids_of_one_class():
    table = LabelTable.from_classes({"ground": [0], "road": [1, 400], "car": [255]}, ignored=[7])
    assert table.id_to_train_id == {0: 0, 1: 1, 400: 1, 255: 2, 7: 255}
    assert (table.names, table.num_classes, len(table.colors)) == (("ground", "road", "car"), 3, 3)
    assert LabelTable.from_json(json.loads(json.dumps(table.to_json()))) == table


def test_a_class_may_lose_some_of_its_ids_or_all():
    table = LabelTable.from_classes({"a": [0, 1], "b": [2], "c": [3]}, ignored=[1, 2])
    assert table.names == ("a", "c")
    assert table.id_to_train_id == {0: 0, 1: 255, 2: 255, 3: 1}


def test_an_id_has_one_class():
    with pytest.raises(ValueError, match="distinct ids"):
        LabelTable.from_classes({"a": [0, 1], "b": [1]})


def test_a_table_that_an_earlier_version_saved():
    rows = [
        {"name": "road", "id": 7, "train_id": 0, "ignored": False, "color": [128, 64, 128]},
        {"name": "void", "id": 255, "train_id": 255, "ignored": True, "color": [0, 0, 0]},
    ]
    table = LabelTable.from_json({"name": "old", "labels": rows})
    assert table.names == ("road",)
    assert json.loads(json.dumps(table.to_json())) == {"name": "old", "labels": rows}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([("a", 0, 0, False), ("b", 0, 1, False)], "distinct ids"),
        ([("a", 0, 0, False), ("b", 1, 2, False)], "train ids"),
        ([("a", 0, 0, False), ("b", 1, 0, False)], "one name and one colour"),
        ([("a", 0, 0, False), ("b", 1, 1, True)], "ignored classes and to no other; got something else for `b`"),
    ],
)
def test_table_refuses_inconsistent_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        LabelTable("x", tuple(ClassLabel(*label, (0, 0, 0)) for label in labels))


def test_labels_need_only_the_standard_library():
    code = "import sys, segdistill.labels; assert not {'torch', 'numpy', 'PIL'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
