import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.contract import MaskContract, SplitContract
from tests.data.fakes import make_coco_stuff, write_mask

from segdistill.data import COCO_STUFF_182_LABELS, COCO_STUFF_LABELS, COCOStuff
from segdistill.util import DataError


class TestCOCOStuff(MaskContract, SplitContract):
    kind, make = COCOStuff, staticmethod(make_coco_stuff)
    num_classes, num_ids = 171, 172
    counts = {"train": 3, "val": 2}


class TestCOCOStuffWithAllIds(MaskContract):
    kind, make = COCOStuff, staticmethod(make_coco_stuff)
    num_classes, num_ids = 182, 183
    counts = {"val": 2}

    def build(self, root, split):
        return COCOStuff(root, split, classes=182)


def test_both_protocols(tmp_path):
    make_coco_stuff(tmp_path)
    ours, paper = COCOStuff(tmp_path, "val"), COCOStuff(tmp_path, "val", classes=182)
    raw = torch.from_numpy(np.array(Image.open(paper.samples[0][1])))
    assert torch.equal(paper[0][1].as_subclass(torch.Tensor), raw)
    assert int(ours[0][1][raw == 181][0]) == 170
    with pytest.raises(ValueError, match="`classes` must be 171 or 182; got 172"):
        COCOStuff(tmp_path, "val", classes=172)


def test_unused_ids_are_faults(tmp_path):
    make_coco_stuff(tmp_path)
    write_mask(tmp_path / "annotations/val2017/000000000139.png", (0, 11, 90))
    with pytest.raises(DataError, match="11, 90"):
        COCOStuff(tmp_path, "val").load(0)
    assert COCOStuff(tmp_path, "val", classes=182).load(0)[1].max() == 90


def test_the_tables_drop_exactly_the_unannotated_names():
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
    assert COCO_STUFF_182_LABELS.id_to_train_id == {**{i: i for i in range(182)}, 255: 255}
