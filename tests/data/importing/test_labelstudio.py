"""Tasks of Label Studio, with its strokes of a brush."""

import json
import warnings

import numpy as np
import pytest
from PIL import Image
from tests.data.importing.exports import ROAD, SKY, block, mask_of, picture

from segdistill.data import Folder, import_data, scan
from segdistill.data.importing.brush import painted
from segdistill.util import DataError


def encode(mask, *, literal=False):
    """The run lengths of a mask, as Label Studio's library writes them; or all values one by one."""
    values = np.repeat(np.where(mask, 255, 0).astype(np.uint8).flatten(), 4).tolist()
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{length - 1:04b}" for length in (3, 4, 8, 16))
    place = 0
    while place < len(values):
        end = place + 1
        while end < min(len(values), place + (16 if literal else 65536)) and (literal or values[end] == values[place]):
            end += 1
        count = end - place
        kind, width = next((k, w) for k, w in enumerate((3, 4, 8, 16)) if count <= 2**w)
        run = values[place:end] if literal else values[place : place + 1]
        bits += f"{int(not literal)}{kind:02b}{count - 1:0{width}b}" + "".join(f"{value:08b}" for value in run)
        place = end
    bits += "0" * (-len(bits) % 8)
    return [int(bits[index : index + 8], 2) for index in range(0, len(bits), 8)]


def result(kind, value, label):
    size = {"original_width": 60, "original_height": 40}
    return {"type": kind, "value": {**value, kind: [label]}, **size}


def brush(place, label):
    return result("brushlabels", {"format": "rle", "rle": encode(block(place))}, label)


def polygon(place, label):
    top, bottom, left, right = (edge / scale * 100 for edge, scale in zip(place, (40, 40, 60, 60), strict=True))
    points = [[left, top], [right, top], [right, bottom], [left, bottom]]
    return result("polygonlabels", {"points": points}, label)


def write_tasks(folder, *results, names=("a.png", "b.png")):
    (folder / "images").mkdir(parents=True)
    tasks = []
    for number, name in enumerate(names):
        Image.fromarray(picture(number)).save(folder / "images" / name)
        done = {"id": number, "was_cancelled": False, "result": list(results)}
        skipped = {"id": 9, "was_cancelled": True, "result": []}
        data = {"image": f"/data/upload/1/0123abcd-{name}"}
        tasks.append({"id": number, "annotations": [skipped, done], "data": data})
    (folder / "project.json").write_text(json.dumps(tasks))
    return folder


@pytest.mark.parametrize("literal", [False, True])
def test_a_stroke_is_decoded(literal):
    np.testing.assert_array_equal(painted(encode(block(ROAD), literal=literal), (40, 60)), block(ROAD).astype(bool))


def test_a_damaged_stroke_is_an_error():
    code = encode(block(ROAD))
    for damaged in (code[:9], code[:2], [0, 0, 0, 4, *code[4:]]):
        with pytest.raises(ValueError, match="the code of a brush"):
            painted(damaged, (40, 60))


@pytest.fixture
def _datumaro():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("datumaro")


@pytest.mark.usefixtures("_datumaro")
class TestImport:
    @pytest.mark.parametrize("form", ["auto", "label_studio"])
    def test_strokes_and_polygons_become_one_class_mask(self, tmp_path, form):
        box = result("rectanglelabels", {"x": 1, "y": 1, "width": 5, "height": 5}, "road")
        write_tasks(tmp_path / "export", brush(ROAD, "road"), polygon(SKY, "sky"), box)
        done = import_data(tmp_path / "export", tmp_path / "out", format=form)
        assert (done.format, done.classes, done.splits) == ("label_studio", {0: "road", 1: "sky"}, {"train": 2})
        assert done.lost == {"bbox": 2}
        expected = np.where(block(ROAD), 0, np.where(block(SKY), 1, 255))
        np.testing.assert_array_equal(mask_of(tmp_path / "out", "images/b"), expected)
        assert scan(Folder(tmp_path / "out", "train")).faults == []

    def test_the_short_form_is_read_alike(self, tmp_path):
        """JSON-MIN: strokes by the name of their control, their values beside the size."""
        box = result("rectanglelabels", {"x": 1, "y": 1, "width": 5, "height": 5}, "road")
        export = write_tasks(tmp_path / "export", brush(ROAD, "road"), polygon(SKY, "sky"), box)
        short = []
        for task in json.loads((export / "project.json").read_text()):
            done = task["annotations"][1]["result"]
            flat = [{**area["value"], "original_width": 60, "original_height": 40} for area in done]
            controls = {"brush": flat[:1], "outline": flat[1:2], "box": flat[2:], "annotator": 1, "lead_time": 0.5}
            short.append({"image": task["data"]["image"], "id": task["id"], **controls})
        (export / "project.json").write_text(json.dumps(short))
        done = import_data(export, tmp_path / "out")
        assert (done.format, done.classes, done.lost) == ("label_studio", {0: "road", 1: "sky"}, {"bbox": 2})
        expected = np.where(block(ROAD), 0, np.where(block(SKY), 1, 255))
        np.testing.assert_array_equal(mask_of(tmp_path / "out", "images/b"), expected)

    def test_an_ellipse_is_turned(self, tmp_path):
        shape = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 5, "rotation": 90}
        write_tasks(tmp_path / "export", result("ellipselabels", shape, "pond"), names=["a.png"])
        import_data(tmp_path / "export", tmp_path / "out", background="land")
        rows, columns = np.nonzero(mask_of(tmp_path / "out", "images/a"))
        found = rows.min(), rows.max(), columns.min(), columns.max()
        np.testing.assert_allclose(found, (5, 34, 28, 31), atol=1)

    def test_what_is_missing_or_damaged_is_left_out(self, tmp_path):
        export = write_tasks(
            tmp_path / "export", brush(ROAD, "road"), polygon(SKY, "sky"), names=["a.png", "b.png", "c.png"]
        )
        (export / "images/a.png").unlink()
        tasks = json.loads((export / "project.json").read_text())
        tasks[1]["annotations"][1]["result"][0]["value"]["rle"] = [0, 1, 2]
        (export / "project.json").write_text(json.dumps(tasks))
        done = import_data(export, tmp_path / "out")
        assert done.splits == {"train": 1}
        assert done.left_out == {"the image is missing": 1, "its annotations are damaged (ValueError)": 1}

    def test_a_folder_without_tasks_is_a_sentence(self, tmp_path):
        (tmp_path / "export").mkdir()
        with pytest.raises(DataError, match="holds nothing that is read as label_studio"):
            import_data(tmp_path / "export", tmp_path / "out", format="label_studio")
