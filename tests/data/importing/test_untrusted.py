"""Exports that are damaged, foreign, or that name files which are not theirs."""

import json
import os
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tests.data.importing.exports import ROAD, SKY, block, corners, mask_of, picture, polygon_and_mask, write

from segdistill.data import Folder, import_data, scan
from segdistill.data.importing.guard import fenced
from segdistill.data.importing.pictures import picture_of
from segdistill.data.importing.rasters import Unfit
from segdistill.data.importing.writing import Writer
from segdistill.util import ArgumentError, DataError, MissingFileError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    dm = pytest.importorskip("datumaro")


@pytest.fixture
def export(tmp_path):
    return write(dm, tmp_path / "export", "coco_instances", polygon_and_mask(dm))


def edit(export, change, split="train"):
    path = export / f"annotations/instances_{split}.json"
    held = json.loads(path.read_text())
    change(held)
    path.write_text(json.dumps(held))


def tree(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("absolute", [True, False], ids=["absolute", "upwards"])
def test_a_name_that_leaves_the_export_is_neither_read_nor_written(tmp_path, export, absolute):
    Image.fromarray(picture()).save(tmp_path / "secret.png")
    before = tree(tmp_path)
    name = str(tmp_path / "secret.png") if absolute else "../../../secret.png"
    edit(export, lambda held: held["images"][0].update(file_name=name))
    try:
        done = import_data(export, tmp_path / "out")
    except DataError:  # newer releases of Datumaro refuse the export
        assert tree(tmp_path) == before
    else:
        assert done.splits == {"train": 1, "val": 1}
        assert {path for path in tree(tmp_path) if not path.startswith("out")} == before
        assert "secret" not in " ".join(tree(tmp_path / "out"))


def test_an_image_outside_is_left_out_even_where_datumaro_hands_it_over(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "secret.png")
    (tmp_path / "in").mkdir()
    with pytest.raises(Unfit, match="lies outside"):
        picture_of(SimpleNamespace(path=str(tmp_path / "in/../secret.png")), tmp_path / "in")


@pytest.mark.parametrize("name", ["", "..", "/a", "a/../../b", "..\\b", "C:/a", "C:\\a", "a\0b", "a" * 300])
def test_no_name_leaves_the_folder_that_it_is_put_into(tmp_path, name):
    writer = Writer(tmp_path, tmp_path / "out", ids=[0, 1], empty=255, keep_empty=True)
    writer.take(SimpleNamespace(id=name, subset="train", annotations=[], media=None))
    writer.take(SimpleNamespace(id="a", subset=name or "b/c", annotations=[], media=None))
    assert sum(writer.left_out.values()) == 2
    assert not (writer.left_out.keys() & {"there is no image"})
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_leaves_the_export_is_refused(tmp_path, export):
    Image.fromarray(picture()).save(tmp_path / "secret.png")
    place = export / "images/train/a.png"
    place.unlink()
    place.symlink_to(tmp_path / "secret.png")
    with pytest.raises(DataError, match=r"a\.png` is a link that leaves"):
        import_data(export, tmp_path / "out")
    place.unlink()
    place.symlink_to(export / "images/train/b.png")
    assert import_data(export, tmp_path / "out").splits == {"train": 2, "val": 1}


def test_while_an_export_is_read_nothing_else_can_be_opened(tmp_path):
    inside, outside = tmp_path / "in/a.txt", tmp_path / "b.txt"
    inside.parent.mkdir()
    for path in (inside, outside):
        path.write_text("text")
    with fenced(inside.parent) as refused:
        assert inside.read_text() == "text"
        for path in (outside, inside.parent / "../b.txt", str(outside).encode()):
            with pytest.raises(DataError, match="lies outside"), open(path):
                pass
        assert len(refused) == 2
    assert outside.read_text() == "text"


def test_what_cannot_be_drawn_is_left_out_and_said(tmp_path, export):
    (export / "images/train/b.png").unlink()
    (export / "images/val/c.png").write_text("no image")

    def damage(held):
        (image,) = (each["id"] for each in held["images"] if each["file_name"] == "a.png")
        polygons = [each for each in held["annotations"] if isinstance(each["segmentation"], list)]
        polygon = next(each for each in polygons if each["image_id"] == image)
        polygon["segmentation"] = [[1e9, 0, 1e9, 1e9, 0, 1e9], *polygon["segmentation"]]

    edit(export, damage)
    done = import_data(export, tmp_path / "out")
    assert done.left_out == {"the image is missing": 1, "the image cannot be read": 1}
    assert done.examples == {"the image is missing": ["b"], "the image cannot be read": ["c"]}
    assert done.lost["damaged polygon"] == 1
    assert mask_of(tmp_path / "out", "a")[20, 40] == 0


def test_annotations_of_another_size_are_left_out(tmp_path, export):
    Image.fromarray(picture(size=(20, 20))).save(export / "images/train/a.png")
    done = import_data(export, tmp_path / "out")
    assert done.left_out == {"the annotations are of another size than the image": 1}


@pytest.mark.parametrize("orientation", [3, 5, 6, 7, 8])
def test_a_photograph_lying_on_its_side_and_its_mask_are_turned_together(tmp_path, orientation):
    export = write(dm, tmp_path / "export", "coco_instances", polygon_and_mask(dm), items=[("train", "a")])
    shown = Image.fromarray(picture())
    exif = shown.getexif()
    exif[0x0112] = orientation
    shown.save(export / "images/train/a.png", exif=exif)
    import_data(export, tmp_path / "out")
    plain = Image.fromarray(np.where(block(ROAD), 1, np.where(block(SKY), 0, 255)).astype(np.uint8))
    mask = mask_of(tmp_path / "out", "a")
    if orientation >= 5:  # as annotated: sizes of the file as stored
        turns = {5: "TRANSPOSE", 6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90"}
        plain = plain.transpose(Image.Transpose[turns[orientation]])
    np.testing.assert_array_equal(mask, np.array(plain))
    assert scan(Folder(tmp_path / "out", "train")).faults == []


def test_smaller_objects_lie_above_larger_ones_unless_the_format_says_which_is_above(tmp_path):
    small, large = (15, 20, 10, 20), (5, 35, 5, 55)

    def held(above):
        return [
            dm.Polygon(corners(small), label=1, z_order=above),
            dm.Polygon(corners(large), label=0, z_order=0),
        ]

    for above, number in ((0, 1), (1, 1), (-1, 0)):
        write(dm, tmp_path / f"export{above}", "cvat", held(above), items=[("train", "a")])
        import_data(tmp_path / f"export{above}", tmp_path / f"out{above}")
        assert mask_of(tmp_path / f"out{above}", "a")[17, 15] == number


def test_images_without_an_area_are_left_out_unless_they_are_wanted(tmp_path):
    boxes = [dm.Bbox(1, 1, 10, 10, label=1), dm.Caption("a road"), dm.Label(0), dm.Points([1, 2], label=0)]
    export = write(dm, tmp_path / "export", "datumaro", boxes)
    with pytest.raises(DataError, match=r"gives no image with a mask \(read as datumaro\): no area of a class \(3\)"):
        import_data(export, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    done = import_data(export, tmp_path / "out", keep_empty=True)
    assert done.lost == {"bbox": 3, "caption": 3, "label": 3, "points": 3}
    assert done.splits == {"train": 2, "val": 1}
    assert np.unique(mask_of(tmp_path / "out", "a")).tolist() == [255]


def test_one_class_needs_a_background_and_more_than_255_have_16_bits(tmp_path):
    one = [dm.Polygon(corners(SKY), label=0)]
    write(dm, tmp_path / "one", "cvat", one, names=["crack"])
    with pytest.raises(ArgumentError, match="`background` must be given, since the export has one class, `crack`"):
        import_data(tmp_path / "one", tmp_path / "out")
    done = import_data(tmp_path / "one", tmp_path / "out", background="intact")
    assert done.classes == {0: "intact", 1: "crack"}
    many = [dm.Polygon(corners(SKY), label=255), dm.Polygon(corners(ROAD), label=254)]
    write(dm, tmp_path / "many", "datumaro", many, names=[f"class {index}" for index in range(300)])
    done = import_data(tmp_path / "many", tmp_path / "out2")
    chosen = {"sky": "class 255", "road": ["class 254", "class 3"]}  # no more than 255 can be trained
    data = Folder(tmp_path / "out2", "train", labels=chosen)
    assert np.unique(mask_of(tmp_path / "out2", "a")).tolist() == [254, 255, 256]
    report = scan(data)
    assert report.faults == []
    assert report.histogram.tolist() == [2 * int(block(SKY).sum()), 2 * int(block(ROAD).sum())]


@pytest.mark.parametrize("names", [["1: a", "b:1,2,3"], ["#a", "b"], ["a\nb", "a b"]])
def test_any_name_of_a_class_survives(tmp_path, names):
    write(dm, tmp_path / "export", "datumaro", polygon_and_mask(dm), names=names)
    done = import_data(tmp_path / "export", tmp_path / "out")
    assert list(Folder(tmp_path / "out", "train").labels.names) == list(done.classes.values())
    assert len(set(done.classes.values())) == 2


def test_what_is_wrong_is_a_sentence_and_leaves_nothing(tmp_path, export):
    (tmp_path / "empty").mkdir()
    (tmp_path / "set.zip").write_bytes(b"PK")
    (export.parent / "there").mkdir()
    for source, out, options, error, words in (
        (export, "out", {"format": "coco_instance"}, ArgumentError, "Nearest names: .*coco_instances"),
        (export, "out", {"format": "cifar"}, ArgumentError, "`format` must be 'auto' or"),
        (export, "out", {"format": "cvat"}, DataError, "cannot be read as cvat"),
        (tmp_path / "no", "out", {}, MissingFileError, "it does not exist"),
        (tmp_path / "empty", "out", {}, DataError, "is no export that Datumaro knows"),
        (tmp_path / "set.zip", "out", {}, DataError, "is packed. Unpack it"),
        (export / "annotations/instances_train.json", "out", {}, DataError, "is a file. Give the folder"),
        (export, "there", {}, ArgumentError, "`out` must be a new folder"),
        (export, "export/out", {}, ArgumentError, "must not lie inside the export"),
        (export, "out", {"background": " "}, ArgumentError, "must be the name of a class"),
    ):
        before = tree(tmp_path)
        with pytest.raises(error, match=words):
            import_data(source, tmp_path / out, **options)
        assert tree(tmp_path) == before
    (export / "annotations/instances_train.json").write_text('{"images": [{"id": 1}], "annotations": 7')
    with pytest.raises(DataError, match="`--format`"):
        import_data(export, tmp_path / "out", format="coco_instances")
    assert not any(name.startswith((".out", "out")) for name in os.listdir(tmp_path))


def test_what_is_called_while_an_export_is_read_may_open_files(tmp_path, export):
    seen = []
    (tmp_path / "log.txt").write_text("text")
    import_data(export, tmp_path / "out", advance=lambda done: seen.append((done, (tmp_path / "log.txt").read_text())))
    assert seen == [(1, "text"), (2, "text"), (3, "text")]
