import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.contract import MaskContract
from tests.data.fakes import HEIGHT, WIDTH, make_folder, write_image, write_mask

from segdistill.data import Folder
from segdistill.util import DataError, DatasetNotFoundError


class TestFolder(MaskContract):
    kind, make = Folder, staticmethod(make_folder)
    num_classes, num_ids = 3, 4
    counts = {"train": 3, "val": 3}
    missing = "must hold"


@pytest.mark.parametrize("split_first", [True, False])
@pytest.mark.parametrize("split", ["train", "val"])
def test_both_layouts(tmp_path, split_first, split):
    dataset = Folder(make_folder(tmp_path, split_first=split_first), split)
    assert len(dataset) == 3
    assert dataset.labels.names == ("class 0", "class 1", "class 2")
    image, mask = dataset[0]
    assert image.shape == (3, HEIGHT, WIDTH)
    assert set(mask.flatten().tolist()) == {0, 1, 2}


def test_given_classes_win_and_255_is_ignored(tmp_path):
    make_folder(tmp_path)
    write_mask(tmp_path / "train/masks/scene0.png", [0, 3, 255])
    dataset = Folder(tmp_path, classes=["a", "b", "c", "d"])
    assert dataset.labels.num_classes == 4
    assert set(dataset[0][1].flatten().tolist()) == {0, 3, 255}


def test_ignored_ids(tmp_path):
    make_folder(tmp_path, num_classes=4, listed=False)
    write_mask(tmp_path / "train/masks/scene1.png", [0, 2, 9])
    dataset = Folder(tmp_path, classes=["a", "void", "b", "c"], ignore=[1, 9])
    assert dataset.labels.names == ("a", "b", "c")
    assert set(dataset[0][1].flatten().tolist()) == {0, 255, 1, 2}
    assert set(dataset[1][1].flatten().tolist()) == {0, 1, 255}


def test_ids_beyond_the_class_list(tmp_path):
    make_folder(tmp_path, num_classes=5)
    with pytest.raises(
        DataError,
        match=r"scene0\.png.*3, 4 \(allowed: 0-2, 255\), in 384 of 960 .* void, set `data\.options\.ignore: \[3, 4\]`",
    ):
        Folder(tmp_path, classes=["a", "b", "c"]).load(0)


def test_ids_of_16_bits(tmp_path):
    make_folder(tmp_path)
    ids = np.random.default_rng(0).choice(np.uint16([0, 7, 300, 40000]), (HEIGHT, WIDTH))
    Image.fromarray(ids).save(tmp_path / "train/masks/scene0.png")
    dataset = Folder(tmp_path, labels={"a": 0, "b": [7, 40000], "c": 300})
    expected = np.select([ids == 0, ids == 300], [0, 2], 1)
    assert dataset[0][1].tolist() == expected.tolist()
    with pytest.raises(DataError, match=r"1, 2 \(allowed: 0, 7, 255, 300, 40000\)"):
        dataset.load(1)
    loose = Folder(tmp_path, labels={"a": 0, "b": 7}, others="ignore")
    assert loose[0][1].tolist() == np.select([ids == 0, ids == 7], [0, 1], 255).tolist()


def test_binary_masks_of_0_and_255(tmp_path):
    make_folder(tmp_path)
    for path in (tmp_path / "train/masks").iterdir():
        write_mask(path, [0, 255])
    asked = Folder(tmp_path, labels={"background": 0, "object": 255})
    assert set(asked[0][1].flatten().tolist()) == {0, 1}
    with pytest.raises(ValueError, match="The background is a class too"):
        Folder(tmp_path, classes=["object"])


def test_the_remedy_for_a_second_value_far_away(tmp_path):
    make_folder(tmp_path)
    write_mask(tmp_path / "train/masks/scene0.png", [0, 128])
    with pytest.raises(DataError, match=r"labels: \{background: 0, object: 128\}`"):
        Folder(tmp_path, classes=["background", "object"]).load(0)


@pytest.mark.parametrize("name", ["images", "masks", "image_ending", "mask_ending", "lists", "group"])
def test_options_that_are_text(tmp_path, name):
    with pytest.raises(ValueError, match=f"`{name}` must be text; got 5"):
        Folder(make_folder(tmp_path), **{name: 5})


def test_groups_of_a_split_are_known(tmp_path):
    root = make_folder(tmp_path, num_images=2)
    assert not Folder(root).groups
    assert Folder(root, group="scene{group}").groups == {"0", "1"}
    with pytest.raises(ValueError, match="`group` must fit all 2 names"):
        Folder(root, group="{group}_*")


COLORS = [[200, 0, 0], [0, 200, 0], [0, 0, 0]]


def write_colors(path, ids):
    Image.fromarray(np.array(COLORS, dtype=np.uint8)[ids]).save(path)


def test_colour_masks(tmp_path):
    make_folder(tmp_path)
    ids = np.random.default_rng(0).integers(0, 3, (HEIGHT, WIDTH))
    write_colors(tmp_path / "train/masks/scene0.png", ids)
    dataset = Folder(tmp_path, classes=["red", "green", "void"], colors=COLORS, ignore=[2])
    assert dataset.labels.colors == ((200, 0, 0), (0, 200, 0))
    expected = torch.from_numpy(np.where(ids == 2, 255, ids).astype(np.uint8))
    assert torch.equal(dataset[0][1].as_subclass(torch.Tensor), expected)


def test_unknown_colours_are_named(tmp_path):
    make_folder(tmp_path)
    pixels = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    pixels[3, 4], pixels[0, 0] = (1, 2, 3), (255, 255, 255)
    Image.fromarray(pixels).save(tmp_path / "train/masks/scene0.png")
    dataset = Folder(tmp_path, classes=["red", "green", "void"], colors=COLORS)
    with pytest.raises(DataError, match=r"scene0\.png.*does not have: \[1, 2, 3\], \[255, 255, 255\]"):
        dataset.load(0)


def test_colour_masks_must_not_be_lossy(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "train/masks/scene0.png").unlink()
    write_image(tmp_path / "train/masks/scene0.jpg")
    with pytest.raises(DataError, match="JPEG file, whose compression alters ids"):
        Folder(tmp_path, classes=["a", "b", "c"], colors=COLORS).load(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["a", "b"], "colors": COLORS}, "one colour per name"),
        ({"classes": ["a", "b"], "colors": [[1, 1, 1], [1, 1, 1]]}, "`colors` must differ"),
        ({"classes": ["a", "a"]}, "`classes` must differ"),
        ({"split": "../train"}, "name of a folder"),
    ],
)
def test_bad_options(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        Folder(make_folder(tmp_path), **options)


def test_the_class_list_is_needed(tmp_path):
    make_folder(tmp_path, listed=False)
    with pytest.raises(ValueError, match=r"classes\.txt"):
        Folder(tmp_path)
    (tmp_path / "classes.txt").write_text("a\n\nb\n")
    with pytest.raises(DataError, match="one class name a line"):
        Folder(tmp_path)


def test_missing_split_says_what_is_there(tmp_path):
    make_folder(tmp_path)
    with pytest.raises(DatasetNotFoundError, match=r"test/images.*holds classes\.txt, train, val"):
        Folder(tmp_path, "test")
    with pytest.raises(DatasetNotFoundError, match="does not exist"):
        Folder(tmp_path / "absent")
