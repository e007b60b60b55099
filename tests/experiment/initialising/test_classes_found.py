"""Values of masks and class lists become classes, or a proposal that says why."""

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.data.fakes import make_folder, write_image, write_mask

import segdistill as sd
from segdistill.experiment.initialising.writing import scalar
from segdistill.recipe import load_recipe

SMALL = ["model.pretrained=false", "model.name=deeplabv3_mobilenetv2_035", "data.num_workers=1"]
MISREAD = ["on", "no", "null", "1", "1e3", "~", "yes", "0x1", "1_000", "a: b", "# c", "- d", "é", "[e]", "Off", "12:30",
           "2001-01-01", ".5", "'f'", 'g"h', "i\\j", "${k}", "=", "<<", "*l", "&m", "!n", "%o", "@p", "traffic light",
           "{q}", ",", "?", "y", "Null", "TRUE", ".inf", "c++", "x/y", "???"]  # fmt: skip


def make(root, *ids, names=None, count=3, dtype=np.uint8):
    """Write ``count`` masks of each row of ids in both splits."""
    for split in ("train", "val"):
        for index in range(count * len(ids)):
            row = np.array(list(ids[index % len(ids)]), dtype=dtype)
            write_image(root / split / f"images/{index}.jpg", index)
            (root / split / "masks").mkdir(exist_ok=True)
            Image.fromarray(np.resize(row, (24, 40))).save(root / split / f"masks/{index}.png")
    if names is not None:
        (root / "classes.txt").write_text("".join(f"{name}\n" for name in names))
    return root


def good(root, tmp_path):
    begun = sd.init(root, tmp_path / "out")
    assert begun.open == []
    assert sd.check(begun.files[0], overrides=SMALL).problems == []
    return begun, load_recipe(begun.files[0]).data.options, " ".join(begun.files[0].read_text().split())


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (None, {"background": 0, "object": 255}),
        (["ground", "crack"], {"ground": 0, "crack": 255}),
        (["crack"], {"background": 0, "crack": 255}),
    ],
)
def test_masks_of_0_and_255(tmp_path, names, labels):
    _, options, text = good(make(tmp_path / "d", [0, 255], [0], names=names), tmp_path)
    assert options == {"labels": labels}
    assert "# proposal: masks hold 0 and 255 alone; rename as you like" in text


@pytest.mark.parametrize("ids", [[0, 1], [0, 1, 255]])
def test_a_list_without_the_background(tmp_path, ids):
    _, options, _ = good(make(tmp_path / "d", ids, names=["crack"]), tmp_path)
    assert options == {"labels": {"background": 0, "crack": 1}}


def test_masks_of_0_and_255_beside_a_long_list_are_a_question(tmp_path):
    begun = sd.init(make(tmp_path / "d", [0, 255], names="abc"), tmp_path / "out")
    assert begun.open == ["masks hold nothing but 0, 255, and classes.txt names 3 classes: is it of these masks?"]


def test_ids_without_a_class_list_get_names_to_change(tmp_path):
    begun, options, text = good(make(tmp_path / "d", [0, 7, 12], [0, 255]), tmp_path)
    assert options == {"labels": {"class_0": 0, "class_7": 7, "class_12": 12}}
    assert "these are the values that all 12 masks hold; rename them" in text
    assert begun.found["classes"] == "3, from the values 0, 7, 12"


def test_ids_of_16_bits(tmp_path):
    _, options, _ = good(make(tmp_path / "d", [0, 300, 1000], dtype=np.uint16), tmp_path)
    assert list(options["labels"].values()) == [0, 300, 1000]


def test_a_value_just_above_the_list_in_most_masks_is_void(tmp_path):
    begun, options, _ = good(make(tmp_path / "d", range(4), names="abc"), tmp_path)
    assert options == {"ignore": [3]}
    assert "3 is just above the class list and in 6 of 6 masks, as void is" in begun.found["classes"]


def test_a_value_without_a_name_is_left_to_a_person(tmp_path):
    begun = sd.init(make(tmp_path / "d", range(3), [0, 9], names="abc"), tmp_path / "out")
    assert load_recipe(begun.files[0]).data.options == {}
    assert begun.open == ["masks hold 9, which classes.txt does not name: add names, or set `ignore: [9]`"]


def test_a_class_that_no_mask_holds_is_taken_out(tmp_path):
    begun, options, _ = good(make(tmp_path / "d", [0, 1, 3], names="abcd"), tmp_path)
    assert options == {"ignore": [2]}
    assert "no mask holds c" in begun.found["classes"]


def test_a_list_that_counts_from_1(tmp_path):
    _, options, _ = good(make(tmp_path / "d", [1, 2, 3], names="abc"), tmp_path)
    assert options == {"labels": {"a": 1, "b": 2, "c": 3}}


@pytest.mark.parametrize("content", ["Pixel Value, Class\n0, sky\n1, no\n2, car\n", "0: sky\n1: no\n2: car\n"])
@pytest.mark.parametrize("name", ["_classes.csv", "classes.csv"])
def test_class_files_of_other_names(tmp_path, name, content):
    root = make(tmp_path / "d", range(3))
    (root / name).write_text(content)
    begun, options, _ = good(root, tmp_path)
    assert options == {"classes": name}
    assert begun.found["classes"] == f"3, named by {name}"


COLORS = np.array([[0, 0, 0], [200, 0, 0], [0, 0, 200]], dtype=np.uint8)


def make_colors(root):
    for split in ("train", "val"):
        for index in range(3):
            write_image(root / split / f"images/{index}.png", index)
            (root / split / "masks").mkdir(exist_ok=True)
            ids = np.random.default_rng(index).integers(0, 3, (24, 40))
            Image.fromarray(COLORS[ids]).save(root / split / f"masks/{index}.png")
    return root


def test_masks_that_are_colour_pictures(tmp_path):
    _, options, text = good(make_colors(tmp_path / "d"), tmp_path)
    assert options["colors"] == [[0, 0, 0], [0, 0, 200], [200, 0, 0]]
    assert options["classes"] == ["color_0_0_0", "color_0_0_200", "color_200_0_0"]
    assert "# proposal: named by their colours; rename them" in text


def test_a_table_of_colours(tmp_path):
    root = make_colors(tmp_path / "d")
    (root / "class_dict.csv").write_text("name,r,g,b\nvoid,0,0,0\nno,200,0,0\ncar,0,0,200\n")
    _, options, _ = good(root, tmp_path)
    assert options == {"classes": ["void", "no", "car"], "colors": COLORS.tolist()}


def test_colours_beside_a_list_are_a_question(tmp_path):
    root = make_colors(tmp_path / "d")
    (root / "classes.txt").write_text("a\nb\nc\n")
    begun = sd.init(root, tmp_path / "out")
    assert begun.open == ["which colour is which class of classes.txt: they are sorted by number, as they came"]


@pytest.mark.parametrize("name", MISREAD)
def test_names_that_yaml_misreads_are_quoted(name):
    assert yaml.safe_load(f"{scalar(name)}: [{scalar(name)}, {{{scalar(name)}: {scalar(name)}}}]") == {
        name: [name, {name: name}]
    }


def test_such_names_reach_the_recipe(tmp_path):
    root = make(tmp_path / "d", range(1, 1 + len(MISREAD)), names=MISREAD)
    (root / "classes.txt").rename(root / "names.txt")
    _, options, _ = good(root, tmp_path)
    assert options["labels"] == {name: number for number, name in enumerate(MISREAD, start=1)}
    for split in ("train", "val"):
        (root / split / "images/0.jpg").replace(root / split / "images/no: #.jpg")
        (root / split / "masks/0.png").replace(root / split / "masks/no: #.png")
        (root / split / "images").rename(root / split / "on: 1")
    options = load_recipe(sd.init(root, tmp_path / "more").files[0]).data.options
    assert options["images"] == "{split}/on: 1"


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        ([4], "holds? nothing but 4, so that there is one class and nothing to learn"),
        (range(230), "230 different values, which cannot all be classes. Save class numbers"),
    ],
)
def test_masks_that_say_no_classes(tmp_path, ids, text):
    with pytest.raises(sd.SegdistillError, match=text):
        sd.init(make(tmp_path / "d", ids), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_masks_as_jpeg_are_refused_with_the_reason(tmp_path):
    for split in ("train", "val"):
        for index in range(3):
            write_image(tmp_path / f"d/{split}/images/{index}.jpg", index)
            write_image(tmp_path / f"d/{split}/masks/{index}.jpg", index)
    with pytest.raises(sd.SegdistillError, match="whose compression alters ids"):
        sd.init(tmp_path / "d", tmp_path / "out")


@pytest.mark.parametrize("what", ["missing", "empty", "text", "images"])
def test_what_is_not_recognised_is_a_sentence(tmp_path, what):
    root = tmp_path / "d"
    if what != "missing":
        root.mkdir()
    if what == "text":
        (root / "a.txt").write_text("x")
    if what == "images":
        for index in range(3):
            write_image(root / f"holiday/{index}.jpg", index)
    with pytest.raises(sd.SegdistillError) as error:
        sd.init(root, tmp_path / "out")
    said = {"missing": "must be a folder", "images": "it holds holiday (3 pictures)"}.get(what, "it holds no pictures")
    assert said in str(error.value)
    if what != "missing":
        assert "train/images and train/masks" in str(error.value)


def test_an_empty_list_of_classes_is_a_sentence(tmp_path):
    root = make_folder(tmp_path / "d")
    (root / "classes.txt").write_text("a\n\nb\n")
    with pytest.raises(sd.SegdistillError, match="one class name a line"):
        sd.init(root, tmp_path / "out")


def test_an_image_without_a_mask_is_said(tmp_path):
    root = make_folder(tmp_path / "d")
    (root / "train/masks/scene1.png").unlink()
    write_mask(root / "val/masks/alone.png", range(3))
    write_mask(root / "train/masks/alone.png", range(3))
    begun = sd.init(root, tmp_path / "out")
    assert begun.open == [
        "1 image of the splits without a mask: add masks, or move the images elsewhere",
        "masks without an image: alone.png",
    ]
    assert begun.frame()[-1] == {"about": "to settle", "found": begun.open[-1]}


def test_recipes_that_are_there_stay(tmp_path):
    root = make_folder(tmp_path / "d")
    (tmp_path / "teacher.yaml").write_text("mine")
    with pytest.raises(sd.SegdistillError, match=r"teacher.yaml would be overwritten.*--force"):
        sd.init(root, tmp_path)
    assert not (tmp_path / "student.yaml").exists()
    sd.init(root, tmp_path, force=True)
    assert load_recipe(tmp_path / "teacher.yaml").role == "teacher"


def test_the_distillation_passes_the_check_with_a_teacher(tmp_path):
    begun = sd.init(make_folder(tmp_path / "d"), tmp_path)
    teacher = sd.Teacher(sd.create_network("deeplabv3_mobilenetv2_050", num_classes=3))
    checkup = sd.check(begun.files[2], teacher=teacher, overrides=SMALL)
    assert checkup.problems == []
