import json
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

from segdistill.store.features import feature_of, read_pixel_features
from segdistill.util import RunError

CLASSES, IMAGES = np.array([0, 1, 1]), np.array([0, 0, 1])


@pytest.fixture
def write(tmp_path):
    def save(**arrays):
        path = tmp_path / "analysis.safetensors"
        found = {"class": CLASSES, "image": IMAGES} | {name.replace("_", "."): a for name, a in arrays.items()}
        save_file({name: array for name, array in found.items() if array is not None}, path)
        return path

    return save


def test_reads_what_a_run_keeps(write):
    head = np.arange(6).reshape(3, 2).astype(np.float16)
    pixels = read_pixel_features(write(student_head=head))
    assert np.array_equal(pixels["class"], CLASSES)
    assert np.array_equal(pixels["student.head"], head)


def test_no_file_and_no_cell(tmp_path, write):
    assert read_pixel_features(tmp_path / "absent") == {}
    none = np.zeros(0, np.int64)
    assert read_pixel_features(write(**{"class": none, "image": none}, student_head=np.zeros((0, 4), np.float16))) == {}
    assert read_pixel_features(write(**{"class": None, "image": None})) == {}


@pytest.mark.parametrize(
    "arrays",
    [
        {"student_head": np.zeros((2, 4), np.float16)},  # fewer pixels than classes
        {"student_head": np.zeros(3, np.float16)},
        {"student_head": np.zeros((3, 4, 4), np.float16)},
        {"student_head": np.zeros((3, 0), np.float16)},
        {"student_head": np.zeros((3, 4), np.int8)},
        {"student_head": np.zeros((3, 4), bool)},
        {"image": np.zeros(2, np.int64)},
        {"class": np.zeros(3)},
        {"class": np.zeros((3, 1), np.int64)},
        {"student_head": np.zeros((3, 4097), np.float16)},
        {"class": np.array([0, -1, 1])},
        {"class": None},
        {"image": None},
        {"class": np.zeros(4097, np.int64), "image": np.zeros(4097, np.int64)},
    ],
)
def test_other_shapes_and_types_are_refused(write, arrays):
    with pytest.raises(RunError, match=r"analysis\.safetensors.* must .* pixels.*Delete (it|the file) to do without"):
        read_pixel_features(write(**arrays))


def header(**tensors):
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04}.",  # a pickle
        struct.pack("<Q", 2**60),
        header(x={"dtype": "F32", "shape": [10**6], "data_offsets": [0, 4]}) + b"\0" * 4,
        header(x={"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}),
    ],
)
def test_damaged_files_are_refused(tmp_path, content):
    path = tmp_path / "analysis.safetensors"
    path.write_bytes(content)
    with pytest.raises(RunError, match="is not a readable safetensors file"):
        read_pixel_features(path)


def test_a_type_that_numpy_lacks_is_refused(tmp_path):
    path = tmp_path / "analysis.safetensors"
    path.write_bytes(header(x={"dtype": "BF16", "shape": [1, 1], "data_offsets": [0, 2]}) + b"\0\0")
    with pytest.raises(RunError, match="to do without"):
        read_pixel_features(path)


def test_a_preferred_feature_or_else_the_last(write):
    pixels = read_pixel_features(
        write(student_head=np.ones((3, 2), np.float16), student_layer4=np.zeros((3, 5), np.float16))
    )
    assert feature_of(pixels, "student", "head").shape == (3, 2)
    assert feature_of(pixels, "student", "neck", "head").shape == (3, 2)
    assert feature_of(pixels, "student", "logits").shape == (3, 5)
    assert feature_of(pixels, "teacher", "head") is None
    assert feature_of({}, "student") is None


def test_what_is_not_finite_is_nan(write):
    head = np.array([[1, np.inf], [np.nan, -np.inf], [3, 4]], np.float16)
    pixels = read_pixel_features(write(student_head=head))
    found = feature_of(pixels, "student", "head")
    assert found.dtype == np.float64
    assert np.array_equal(found, [[1, np.nan], [np.nan, np.nan], [3, 4]], equal_nan=True)
    assert np.isinf(pixels["student.head"]).any(), "the pixels themselves stay as they are"
