import json
import subprocess
import sys

import pytest

from segdistill.data import (
    ADE20K_LABELS,
    CAMVID_LABELS,
    CITYSCAPES_LABELS,
    COCO_STUFF_182_LABELS,
    COCO_STUFF_LABELS,
    STREETS_LABELS,
    VOC_LABELS,
)
from segdistill.labels import ClassLabel, LabelTable, palette

TABLES = [
    CITYSCAPES_LABELS,
    VOC_LABELS,
    CAMVID_LABELS,
    ADE20K_LABELS,
    COCO_STUFF_LABELS,
    COCO_STUFF_182_LABELS,
    STREETS_LABELS,
]


@pytest.mark.parametrize(
    ("table", "num_classes", "num_ids"),
    [
        (CITYSCAPES_LABELS, 19, 34),
        (VOC_LABELS, 21, 22),
        (CAMVID_LABELS, 11, 12),
        (ADE20K_LABELS, 150, 151),
        (COCO_STUFF_LABELS, 171, 172),
        (COCO_STUFF_182_LABELS, 182, 183),
        (STREETS_LABELS, 9, 9),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_sizes(table, num_classes, num_ids):
    assert table.num_classes == len(table.names) == len(table.colors) == num_classes
    assert len(table.id_to_train_id) == num_ids
    assert len(set(table.names)) == num_classes


def test_cityscapes_follows_the_published_map():
    known = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    assert CITYSCAPES_LABELS.id_to_train_id == {i: known.index(i) if i in known else 255 for i in range(34)}
    assert CITYSCAPES_LABELS.names[-1] == "bicycle"
    assert dict(zip(CITYSCAPES_LABELS.names, CITYSCAPES_LABELS.colors, strict=True))["terrain"] == (152, 251, 152)


def test_voc_palette():
    assert VOC_LABELS.colors[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert (VOC_LABELS.names[20], VOC_LABELS.colors[20], VOC_LABELS.id_to_train_id[255]) == (
        "tvmonitor",
        (0, 64, 128),
        255,
    )


def test_shifted_and_identical_maps():
    assert ADE20K_LABELS.id_to_train_id == {0: 255, **{i + 1: i for i in range(150)}}
    assert (ADE20K_LABELS.names[0], ADE20K_LABELS.names[82], ADE20K_LABELS.names[149]) == ("wall", "light", "flag")
    assert CAMVID_LABELS.id_to_train_id == {**{i: i for i in range(11)}, 11: 255}
    assert COCO_STUFF_182_LABELS.id_to_train_id == {**{i: i for i in range(182)}, 255: 255}


def test_coco_stuff_drops_exactly_the_unannotated_names():
    unused = set(range(182)) - COCO_STUFF_LABELS.id_to_train_id.keys()
    assert {COCO_STUFF_182_LABELS.names[i] for i in unused} == {
        *("street sign", "hat", "shoe", "eye glasses", "plate", "mirror", "window", "desk", "door", "blender"),
        "hair brush",
    }
    in_order = [COCO_STUFF_LABELS.id_to_train_id[i] for i in range(182) if i not in unused]
    assert in_order == list(range(171))
    # The stop sign is number 13 of the list: mask id 12, after one unused id.
    assert COCO_STUFF_LABELS.id_to_train_id[12] == 11
    assert (COCO_STUFF_LABELS.names[11], COCO_STUFF_LABELS.names[-1]) == ("stop sign", "wood")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_json_round_trip(table):
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
        (["a", "a"], None, [], "must differ"),
        (["a", "b"], [[0, 0, 0]], [], "one colour per name, 2; got 1"),
        (["a"], [[0, 0]], [], "three numbers"),
        (["a"], [[0, 0, 256]], [], "0 to 255"),
        ([], None, [], "1 to 255 train ids"),
        (["a"], None, [300], "0 to 255"),
    ],
)
def test_from_names_refuses(names, colors, ignored, message):
    with pytest.raises(ValueError, match=message):
        LabelTable.from_names(names, colors, ignored=ignored)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([("a", 0, 0, False), ("b", 0, 1, False)], "distinct ids"),
        ([("a", 0, 0, False), ("b", 1, 2, False)], "train ids"),
        ([("a", 0, 0, False), ("b", 1, 1, True)], "ignored classes"),
    ],
)
def test_table_refuses_inconsistent_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        LabelTable("x", tuple(ClassLabel(*label, (0, 0, 0)) for label in labels))


def test_labels_need_only_the_standard_library():
    code = "import sys, segdistill.labels; assert not {'torch', 'numpy', 'PIL'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
