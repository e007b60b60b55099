"""Folders of Hugging Face `datasets`, written by Arrow in their layout."""

import io
import json
import warnings

import numpy as np
import pytest
from PIL import Image
from tests.data.importing.exports import ROAD, SKY, block, mask_of, picture

from segdistill.data import Folder, import_data, scan
from segdistill.util import DataError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("datumaro")
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

IDS = np.where(block(ROAD), 2, np.where(block(SKY), 0, 255)).astype(np.uint8)


def encoded(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def table(count, masks="mask", ids=IDS):
    images = [{"bytes": encoded(picture(seed)), "path": f"photo{seed}.png"} for seed in range(count)]
    return pa.table({"image": images, masks: [{"bytes": encoded(ids), "path": None}] * count, "text": ["a"] * count})


@pytest.mark.parametrize("masks", ["mask", "label", "annotation"])
def test_parquet_files_are_read_by_split(tmp_path, masks):
    (tmp_path / "set/data").mkdir(parents=True)
    for split, shard, count in (("train", 0, 5), ("train", 1, 2), ("validation", 0, 3)):
        parquet.write_table(table(count, masks), tmp_path / f"set/data/{split}-0000{shard}-of-00002.parquet")
    (tmp_path / "set/id2label.json").write_text(json.dumps({"0": "sky", "1": "tree", "2": "road"}))
    done = import_data(tmp_path / "set", tmp_path / "out")
    assert (done.format, done.splits) == ("huggingface", {"train": 7, "validation": 3})
    assert (done.classes, done.unused, done.lost) == ({0: "sky", 1: "tree", 2: "road"}, ["tree"], {})
    np.testing.assert_array_equal(mask_of(tmp_path / "out", "train-00001-of-00002_000001_photo1"), IDS)
    assert scan(Folder(tmp_path / "out", "validation")).faults == []


def test_what_save_to_disk_left_is_read_and_ids_without_names_are_classes(tmp_path):
    for split in ("train", "test"):
        folder = tmp_path / "set" / split
        folder.mkdir(parents=True)
        data = table(3, ids=np.stack([IDS] * 3, -1))
        with (
            pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as file,
            pa.ipc.new_stream(file, data.schema) as out,
        ):
            out.write_table(data)
        (folder / "state.json").write_text("{}")
    done = import_data(tmp_path / "set", tmp_path / "out", format="huggingface")
    assert done.splits == {"train": 3, "test": 3}
    assert list(done.classes.values()) == ["class 0", "class 1", "class 2"]
    assert scan(Folder(tmp_path / "out", "test")).faults == []


def test_a_table_without_masks_is_a_sentence(tmp_path):
    (tmp_path / "set").mkdir()
    parquet.write_table(pa.table({"text": ["a"]}), tmp_path / "set/train-00000-of-00001.parquet")
    with pytest.raises(DataError, match="holds nothing that is read as huggingface"):
        import_data(tmp_path / "set", tmp_path / "out", format="huggingface")
    (tmp_path / "set/train-00000-of-00001.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="cannot be read as"):
        import_data(tmp_path / "set", tmp_path / "out", format="huggingface")
    assert not (tmp_path / "out").exists()


def test_a_mask_that_is_none_is_counted(tmp_path):
    (tmp_path / "set").mkdir()
    good = table(1).to_pylist()
    rows = [
        *good,
        {**good[0], "mask": None},
        {**good[0], "mask": {"bytes": b"no", "path": "/etc/passwd"}},
        {**good[0], "image": None},
    ]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "set/train.parquet")
    done = import_data(tmp_path / "set", tmp_path / "out")
    assert done.splits == {"train": 1}
    assert done.left_out == {"no area of a class": 2, "there is no image": 1}
    assert done.lost == {"mask that cannot be read": 2}
