import json
import os
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.contract import DatasetContract
from tests.data.fakes import HEIGHT, WIDTH, make_camvid, make_folder, truncate, write_image, write_mask

from segdistill.data import (
    CamVid,
    Folder,
    Images,
    Prepared,
    Source,
    Streets,
    eval_loader,
    prepare,
    scan,
    together,
    train_loader,
)
from segdistill.data.cache.read import INDEX
from segdistill.util import DataError

FILL = (124.0, 117.0, 104.0)


def camvid(root, split="train"):
    return Source("camvid", {}, CamVid(root, split))


@pytest.fixture
def source(tmp_path):
    return camvid(make_camvid(tmp_path / "data", num_images=5))


@pytest.fixture
def cache(tmp_path, source):
    assert prepare([source], tmp_path / "cache") == []
    return tmp_path / "cache"


class TestPrepared(DatasetContract):
    kind, make = Prepared, staticmethod(make_camvid)
    num_classes, num_ids = 11, 12
    counts = {"train": 4, "test": 3}

    def build(self, root, split):
        prepare([camvid(root, split)], root / "cache")
        return Prepared(camvid(root, split), root / "cache")

    def test_the_split_is_the_first_option_and_train_by_default(self):
        """It has none: its source has."""


def stream(dataset, **options):
    settings = {"crop_size": (20, 28), "batch_size": 3, "seed": 3, "num_steps": 8, "fill": FILL, **options}
    return list(train_loader(dataset, **settings))


def same(first, second):
    return len(first) == len(second) and all(
        torch.equal(a.image, b.image) and torch.equal(a.target, b.target) for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("options", [{}, {"image_scale": 0.7}, {"crop_size": (64, 64)}, {"num_workers": 2}])
def test_training_batches_are_the_same_bits(source, cache, options):
    assert same(stream(Prepared(source, cache), **options), stream(source.dataset, **options))


@pytest.mark.parametrize("image_scale", [1.0, 0.5])
def test_evaluation_batches_are_the_same_bits(source, cache, image_scale):
    found = list(eval_loader(Prepared(source, cache), image_scale=image_scale))
    assert same(found, list(eval_loader(source.dataset, image_scale=image_scale)))


def test_the_images_are_not_opened_again(source, cache):
    expected = stream(source.dataset)
    prepared = Prepared(source, cache)
    for image, mask in source.dataset.samples:
        image.write_bytes(b"")
        mask.write_bytes(b"")
    assert same(stream(prepared), expected)


def test_it_is_a_data_set_like_its_source(source, cache):
    prepared, dataset = Prepared(source, cache), source.dataset
    assert (len(prepared), prepared.split, prepared.root) == (5, "train", dataset.root)
    assert prepared.labels == dataset.labels
    assert prepared.path(2) == dataset.path(2)
    found, expected = scan(prepared), scan(dataset)
    assert torch.equal(found.histogram, expected.histogram)
    assert found.image_sizes == expected.image_sizes == {(HEIGHT, WIDTH): 5}
    assert same(stream(pickle.loads(pickle.dumps(prepared))), stream(dataset))


def test_writing_to_a_sample_does_not_change_the_cache(source, cache):
    prepared = Prepared(source, cache)
    image, mask = prepared.load(1)
    before = image.clone(), mask.clone()
    image.zero_()
    mask.zero_()
    assert all(torch.equal(a, b) for a, b in zip(prepared.load(1), before, strict=True))


def test_colour_masks_and_ignored_classes_are_stored_as_train_ids(tmp_path):
    root, colors = make_folder(tmp_path / "data"), [[0, 0, 0], [9, 9, 9], [200, 0, 0]]
    for path in sorted((root / "train/masks").iterdir()):
        ids = np.random.default_rng(0).integers(0, 3, (HEIGHT, WIDTH))
        Image.fromarray(np.array(colors, np.uint8)[ids]).save(path)
    options = {"colors": colors, "ignore": [1]}
    source = Source("folder", options, Folder(root, "train", **options))
    prepare([source], tmp_path / "cache")
    assert same(stream(Prepared(source, tmp_path / "cache")), stream(source.dataset))


def test_unlabelled_images_are_cached_beside_the_data_set(source, cache):
    extra = Source("images", {}, Images(source.dataset.root / "test"))
    prepare([extra], cache)
    joined = together(Prepared(source, cache), Prepared(extra, cache))
    assert same(stream(joined), stream(together(source.dataset, extra.dataset)))
    assert (Prepared(extra, cache).load(0)[1] == 255).all()


def test_a_moved_data_set_is_the_same(source, cache, tmp_path):
    source.dataset.root.rename(tmp_path / "moved")
    assert len(Prepared(camvid(tmp_path / "moved"), cache)) == 5


def test_faulty_samples_stay_faulty_and_are_replaced_alike(tmp_path, source):
    dataset = source.dataset
    truncate(dataset.samples[1][0])
    write_mask(dataset.samples[3][1], [99])
    assert len(prepare([source], tmp_path)) == 2
    prepared = Prepared(source, tmp_path)
    for index in (1, 3):
        with pytest.raises(DataError) as expected:
            dataset.load(index)
        with pytest.raises(DataError) as found:
            prepared.load(index)
        assert str(found.value) == str(expected.value)
    assert same(stream(prepared, batch_size=5), stream(dataset, batch_size=5))


def test_a_data_set_without_files_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`streets` has none"):
        prepare([Source("streets", {}, Streets(num_images=2))], tmp_path)


def test_a_split_that_is_a_path_is_refused(tmp_path, source):
    outside = Source("images", {}, Images(source.dataset.root / "test", "../../else"))
    with pytest.raises(ValueError, match="plain name"):
        prepare([outside], tmp_path / "cache")


# What a cache must not be used for


def refused(source, cache, match):
    with pytest.raises(DataError, match=match) as caught:
        Prepared(source, cache)
    assert caught.value.remedy
    return str(caught.value)


def test_a_missing_cache(source, tmp_path):
    assert "Run `segdistill prepare`" in refused(source, tmp_path, "holds no prepared data")


def test_another_split_or_data_set(source, cache):
    refused(camvid(source.dataset.root, "val"), cache, "camvid-val` holds no prepared data")
    (cache / "camvid-train").rename(cache / "voc-train")
    refused(source._replace(name="voc"), cache, "prepared with the data set camvid; the recipe needs voc")


def test_other_options(source, cache):
    refused(source._replace(options={"classes": 3}), cache, r"with the options \{\}; the recipe needs \{'classes': 3\}")


def test_another_class_table(tmp_path):
    root = make_folder(tmp_path / "data")
    prepare([Source("folder", {}, Folder(root, "train"))], tmp_path / "cache")
    (root / "classes.txt").write_text("other\nnames\nhere\n")
    refused(Source("folder", {}, Folder(root, "train")), tmp_path / "cache", "another class table")


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_of_another_time(source, cache, which):
    path = source.dataset.samples[2][which]
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1))
    refused(camvid(source.dataset.root), cache, f"{source.dataset.path(2).name}` or its mask is not what")


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_of_another_size(source, cache, which):
    path = source.dataset.samples[2][which]
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(path.read_bytes() + b" ")
    os.utime(path, ns=times)
    refused(camvid(source.dataset.root), cache, "or its mask is not what")


def test_a_file_that_is_gone(source, cache):
    source.dataset.samples[0][1].unlink()
    refused(camvid(source.dataset.root), cache, "or its mask is not what")


def test_another_list_of_the_split(source, cache):
    root = source.dataset.root
    write_image(root / "train/0001TP_009999.png")
    write_mask(root / "trainannot/0001TP_009999.png", [1])
    refused(camvid(root), cache, "with 5 samples; the split has 6")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"format": 2}, "with the format 2; the recipe needs 1"),
        ({"samples": None}, "no samples"),
        ({"samples": [7] * 5}, "or its mask is not what"),
        ({"faulty": None}, "not finished"),
        ({"faulty": ["../../../etc/passwd"]}, "not finished"),
        ({"faulty": 3}, "not finished"),
    ],
)
def test_an_index_that_was_changed(source, cache, change, match):
    path = cache / "camvid-train" / INDEX
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    refused(source, cache, match)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b"{", b"[" * 100_000])
def test_an_index_that_is_none(source, cache, content):
    (cache / "camvid-train" / INDEX).write_bytes(content)
    refused(source, cache, "is not the index of prepared data")


@pytest.mark.parametrize("kind", ["image", "mask"])
def test_a_lost_file(source, cache, kind):
    (cache / f"camvid-train/000003.{kind}.npy").unlink()
    refused(source, cache, "has lost 000003.image.npy or its mask")


def damage(path, how):
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[:-1])
    elif how == "header":
        path.write_bytes(content[:20] + b"((((" + content[24:])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "shape":
        np.save(path, np.zeros((3, 5), np.uint8))
    elif how == "dtype":
        np.save(path, np.zeros((HEIGHT, WIDTH), np.int64))
    else:
        np.save(path, np.array([print]), allow_pickle=True)


@pytest.mark.parametrize("kind", ["image", "mask"])
@pytest.mark.parametrize("how", ["cut", "header", "empty", "shape", "dtype", "pickle"])
def test_a_damaged_file_is_a_fault_of_its_sample(source, cache, kind, how):
    damage(cache / f"camvid-train/000003.{kind}.npy", how)
    prepared = Prepared(source, cache)
    prepared.load(2)
    with pytest.raises(DataError, match=r"000003.*Run `segdistill prepare` with"):
        prepared.load(3)
