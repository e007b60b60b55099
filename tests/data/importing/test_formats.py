"""Each format goes out by Datumaro's writer and comes in as a folder whose scan finds no fault."""

import json
import shutil
import warnings

import numpy as np
import pytest
from tests.data.importing.exports import ROAD, SKY, block, mask_of, picture, polygon_and_mask, two_masks, write

from segdistill.data import Folder, import_data, scan

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    dm = pytest.importorskip("datumaro")

BOTH = np.where(block(ROAD), 1, np.where(block(SKY), 0, 255))


@pytest.mark.parametrize("named", [True, False], ids=["named", "auto"])
@pytest.mark.parametrize("form", ["coco", "coco_instances", "cvat", "label_me", "datumaro", "datumaro_binary"])
def test_polygons_and_masks_become_one_class_mask(tmp_path, form, named):
    write(dm, tmp_path / "export", form, polygon_and_mask(dm))
    done = import_data(tmp_path / "export", tmp_path / "out", format=form if named else "auto")
    assert (done.format, done.splits, done.classes) == (form, {"train": 2, "val": 1}, {0: "sky", 1: "road"})
    assert done.lost == {"bbox": 3}
    assert (done.left_out, done.unused) == ({}, [])
    for split, name in (("train", "a"), ("train", "b"), ("val", "c")):
        np.testing.assert_array_equal(mask_of(tmp_path / "out", name, split), BOTH)
    for split, count in done.splits.items():
        data = Folder(tmp_path / "out", split)
        report = scan(data)
        assert (report.faults, report.num_samples) == ([], count)
        assert report.histogram.tolist() == [count * int((index == BOTH).sum()) for index in (0, 1)]
    assert [path.name for path in tmp_path.iterdir() if path.name[0] == "."] == []


def test_images_keep_their_bytes_and_the_summary_says_what_happened(tmp_path):
    export = write(dm, tmp_path / "export", "coco_instances", polygon_and_mask(dm))
    done = import_data(export, tmp_path / "out")
    source, target = export / "images/train/a.png", tmp_path / "out/train/images/a.png"
    assert source.read_bytes() == target.read_bytes()
    assert (tmp_path / "out/classes.txt").read_text() == "sky\nroad\n"
    summary = json.loads((tmp_path / "out/import.json").read_text())
    assert summary["splits"] == {"train": 2, "val": 1}
    assert summary["lost"] == {"bbox": 3}
    assert done.frame() == [{"split": "train", "images": 2}, {"split": "val", "images": 1}]


@pytest.mark.parametrize("form", ["voc", "voc_segmentation", "camvid"])
def test_formats_of_masks(tmp_path, form):
    write(dm, tmp_path / "export", form, two_masks(dm))
    done = import_data(tmp_path / "export", tmp_path / "out", background="background")
    assert done.format == form
    assert done.splits == {"train": 2, "val": 1}
    assert done.classes == {0: "background", 1: "sky", 2: "road"}
    expected = np.where(block(ROAD), 2, np.where(block(SKY), 1, 0))
    np.testing.assert_array_equal(mask_of(tmp_path / "out", "a"), expected)
    assert scan(Folder(tmp_path / "out", "val")).faults == []


def test_a_crowd_of_coco_is_rle(tmp_path):
    crowd = [
        dm.Mask(block(ROAD), label=1, id=1, group=1, attributes={"is_crowd": True}),
        dm.Polygon([30, 10, 55, 10, 55, 35, 30, 35], label=0, id=2, group=2),
    ]
    export = write(dm, tmp_path / "export", "coco_instances", crowd)
    held = json.loads((export / "annotations/instances_train.json").read_text())["annotations"]
    assert {type(each["segmentation"]) for each in held} == {dict, list}
    done = import_data(export, tmp_path / "out")
    np.testing.assert_array_equal(mask_of(tmp_path / "out", "a"), BOTH)
    assert done.lost == {}


def test_roboflow_calls_its_second_split_valid(tmp_path):
    made = write(dm, tmp_path / "made", "coco_instances", polygon_and_mask(dm))
    for split, folder in (("train", "train"), ("val", "valid")):
        (tmp_path / "export").mkdir(exist_ok=True)
        shutil.copytree(made / "images" / split, tmp_path / "export" / folder)
        shutil.copy(
            made / f"annotations/instances_{split}.json", tmp_path / "export" / folder / "_annotations.coco.json"
        )
    done = import_data(tmp_path / "export", tmp_path / "out")
    assert (done.format, list(done.splits.items())) == ("roboflow_coco", [("train", 2), ("valid", 1)])
    np.testing.assert_array_equal(mask_of(tmp_path / "out", "c", "valid"), BOTH)


def test_an_export_without_splits_is_train_and_can_be_split_by_shares(tmp_path):
    items = [("default", f"deep/{index}") for index in range(12)]
    write(dm, tmp_path / "export", "cvat", polygon_and_mask(dm), items=items)
    done = import_data(tmp_path / "export", tmp_path / "out")
    assert done.splits == {"train": 12}
    assert (tmp_path / "out/train/masks/deep/7.png").is_file()
    options = {"images": "train/images", "masks": "train/masks", "shares": {"val": 0.4}}
    sizes = [len(Folder(tmp_path / "out", split, **options)) for split in ("train", "val")]
    assert sum(sizes) == 12
    assert min(sizes) > 0


@pytest.mark.parametrize("form", ["coco_instances", "voc", "datumaro"])
def test_the_memory_of_an_import_does_not_grow_with_the_set(tmp_path, form):
    import tracemalloc

    def peak(count):
        items = [(("train", "val")[index % 2], f"{count}_{index}") for index in range(count)]
        write(dm, tmp_path / f"export{count}", form, two_masks(dm), items=items)
        tracemalloc.start()
        import_data(tmp_path / f"export{count}", tmp_path / f"out{count}", format=form)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(4)  # what is loaded once
    grown = (peak(120) - peak(20)) / 100
    assert grown < picture().nbytes / 8  # an index of names; a mask has 2.4 kB, an image 7.2
