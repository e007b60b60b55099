import sys
import warnings

import pytest
from tests.data.importing.exports import polygon_and_mask, write


def test_without_datumaro_the_command_says_how_to_get_it(segdistill_, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datumaro", None)
    code, _, err = segdistill_("import", tmp_path, "--out", tmp_path / "out")
    assert code == 2
    assert err.endswith("which is not installed: pip install segdistill[import].\n")


@pytest.fixture
def dm():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("datumaro")


def test_import_says_what_it_read_lost_and_left_out(segdistill_, ok, tmp_path, dm):
    export = write(dm, tmp_path / "export", "coco_instances", polygon_and_mask(dm))
    (export / "images/train/b.png").unlink()
    printed = ok("import", export, "--out", tmp_path / "my_data", "--background", "ground")
    assert "read as coco_instances: 3 classes; images: train 1, val 1" in printed
    assert "left out, the image is missing: 1 images (b)" in printed
    assert "lost, no area of a class: 3 bbox" in printed
    assert f"Use it by data.dataset=folder data.root={tmp_path / 'my_data'}" in printed
    code, _, err = segdistill_("import", export, "--out", tmp_path / "other", "--format", "cvta")
    assert (code, "Nearest names: cvat" in err) == (2, True)


def test_splits_of_other_names_are_named_for_the_recipe(ok, tmp_path, dm):
    items = [("validation", "a"), ("train", "b")]
    export = write(dm, tmp_path / "export", "datumaro", polygon_and_mask(dm), items=items)
    printed = ok("import", export, "--out", tmp_path / "my_data")
    assert printed.endswith(f"data.root={tmp_path / 'my_data'} data.val_split=validation\n")


def test_one_split_is_told_how_to_be_divided(ok, tmp_path, dm):
    items = [("default", str(index)) for index in range(9)]
    export = write(dm, tmp_path / "export", "cvat", polygon_and_mask(dm), items=items)
    printed = ok("import", export, "--out", tmp_path / "my_data")
    assert '"data.options={images: train/images, masks: train/masks, shares: {val: 0.2}}"' in printed
    assert "The unlabelled area is 255 and does not count." in printed
