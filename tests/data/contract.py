"""What every data set promises, stated once; ``tests/data/sets/test_<name>.py`` says which promises are its own.

A class of tests derives from those of the promises and says what it is about:

    class TestCamVid(MaskContract, SplitContract):
        kind, make = CamVid, staticmethod(make_camvid)
        num_classes, num_ids = 11, 12
        counts = {"train": 4, "val": 2, "test": 3}
"""

import inspect
import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.fakes import HEIGHT, WIDTH, truncate, write_halves, write_mask
from torch import Tensor
from torchvision import tv_tensors

from segdistill.data import train_transform
from segdistill.labels import LabelTable
from segdistill.util import DataError, DatasetNotFoundError

DAMAGE = {
    "cut": truncate,
    "empty": lambda path: path.write_bytes(b""),
    "of another format": lambda path: path.write_bytes(b"GIF89a"),
}


def failure(dataset, index=0):
    """The error of loading a sample, whose text is a sentence and a remedy."""
    with pytest.raises(DataError) as caught:
        dataset.load(index)
    error = caught.value
    assert str(error) == f"`{error.path}` {error.problem}. {error.remedy}"
    assert error.remedy.endswith(".")
    return error


def assert_same(first, second):
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.as_subclass(Tensor), other.as_subclass(Tensor))


class DatasetContract:
    """Of every data set.

    Attributes:
        kind: The class.
        make: Writes a fake tree below a folder that does not exist yet; returns the root.
        counts: Samples of every split of that tree.
        num_classes: Classes that count.
        num_ids: Ids that masks may hold.
        size: Height and width of the fakes.
    """

    size = (HEIGHT, WIDTH)

    def pytest_generate_tests(self, metafunc):
        if "split" in metafunc.fixturenames:
            metafunc.parametrize("split", self.splits_for(metafunc.function))

    def splits_for(self, test):
        return list(self.counts)

    @pytest.fixture
    def root(self, tmp_path):
        return self.make(tmp_path / "data")

    def build(self, root, split):
        return self.kind(root, split)

    def test_the_split_is_the_first_option_and_train_by_default(self):
        root, split, *options = inspect.signature(self.kind).parameters.values()
        assert (root.name, split.name, split.default) == ("root", "split", "train")
        assert all(option.kind is option.KEYWORD_ONLY for option in options)

    def test_its_docstring_is_a_card(self):
        assert "Args:" in self.kind.__doc__
        assert "Raises:" in self.kind.__doc__

    def test_length_and_iteration(self, root, split):
        dataset = self.build(root, split)
        assert len(dataset) == self.counts[split]
        assert dataset.split == split
        assert sum(1 for _ in dataset) == len(dataset)

    @pytest.mark.parametrize("outside", [-1, 0])
    def test_an_index_outside_is_an_index_error(self, root, split, outside):
        dataset = self.build(root, split)
        index = outside or len(dataset)
        with pytest.raises(IndexError, match=rf"`index` must be from 0 to {len(dataset) - 1}; got {index}"):
            dataset[index]

    def test_samples(self, root, split):
        dataset = self.build(root, split)
        allowed = {*range(self.num_classes), 255}
        for index in range(len(dataset)):
            image, mask = dataset.load(index)
            assert (type(image), type(mask)) == (tv_tensors.Image, tv_tensors.Mask)
            assert image.dtype == mask.dtype == torch.uint8
            assert (image.shape, mask.shape) == ((3, *self.size), self.size)
            assert set(mask.flatten().tolist()) <= allowed
            assert_same((image, mask), dataset[index])

    def test_the_class_table(self, root, split):
        table = self.build(root, split).labels
        assert table.num_classes == len(set(table.names)) == len(table.colors) == self.num_classes
        assert len(table.id_to_train_id) == self.num_ids
        assert LabelTable.from_json(json.loads(json.dumps(table.to_json()))) == table

    def test_the_same_again(self, root, split):
        first, second = self.build(root, split), self.build(root, split)
        for index in reversed(range(len(first))):
            assert_same(first.load(index), second.load(index))
            assert first.path(index) == second.path(index)

    def test_a_sample_may_be_changed_in_place(self, root, split):
        dataset = self.build(root, split)
        image, mask = dataset.load(0)
        before = image.clone(), mask.clone()
        image.zero_()
        mask.fill_(7)
        assert_same(dataset.load(0), before)

    def test_it_travels_to_a_worker(self, root, split):
        dataset = self.build(root, split)
        dataset.load(0)
        again = pickle.loads(pickle.dumps(dataset))
        assert len(again) == len(dataset)
        assert_same(again.load(0), dataset.load(0))

    def test_every_sample_has_a_name_of_its_own(self, root, split):
        dataset = self.build(root, split)
        assert len({dataset.path(index) for index in range(len(dataset))}) == len(dataset)


class SplitContract:
    """Of data sets with splits of their own."""

    def test_an_unknown_split_lists_the_splits_before_anything_is_read(self, tmp_path):
        with pytest.raises(ValueError, match=rf"must be one of {', '.join(self.counts)}; got 'training'"):
            self.kind(tmp_path / "absent", "training")
        assert self.kind.splits == tuple(self.counts)


class FileContract(DatasetContract):
    """Of data sets on disk.

    Attributes:
        missing: Of the text that says what the root should hold.
    """

    missing = "Expected: "

    def test_the_files_are_there_and_in_order(self, root, split):
        dataset = self.build(root, split)
        paths = [image for image, _ in dataset.samples]
        assert paths == sorted(paths) == [dataset.path(index) for index in range(len(dataset))]
        assert all(path.is_file() for path in paths)

    def test_a_missing_root_is_named_with_the_layout(self, tmp_path, split):
        with pytest.raises(DatasetNotFoundError, match=rf"absent.*{self.missing}"):
            self.build(tmp_path / "absent", split)

    def test_a_missing_image_is_named(self, root, split):
        dataset = self.build(root, split)
        dataset.path(0).unlink()
        error = failure(dataset)
        assert error.path == dataset.path(0)
        assert "does not exist" in error.problem

    @pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
    def test_a_corrupt_image_is_named_and_the_others_load(self, root, split, damage):
        dataset = self.build(root, split)
        damage(dataset.path(0))
        error = failure(dataset)
        assert error.path == dataset.path(0)
        assert "cannot be decoded as image" in error.problem
        for index in range(1, len(dataset)):
            dataset.load(index)


class MaskContract(FileContract):
    """Of data sets whose masks are files of ids.

    Attributes:
        unlabelled: Splits without masks.
    """

    unlabelled = ()

    def splits_for(self, test):
        labelled = hasattr(MaskContract, test.__name__) and not hasattr(FileContract, test.__name__)
        return [split for split in self.counts if not labelled or split not in self.unlabelled]

    def test_every_pixel_is_the_train_id_of_its_id(self, root, split):
        dataset = self.build(root, split)
        for index, (_, path) in enumerate(dataset.samples):
            ids = np.array(Image.open(path)).ravel().tolist()
            expected = [dataset.labels.id_to_train_id[label_id] for label_id in ids]
            assert dataset.load(index)[1].flatten().tolist() == expected

    def test_a_missing_folder_of_masks_is_named(self, root, split):
        folder = self.build(root, split).samples[0][1].parent
        shutil.rmtree(folder)
        with pytest.raises((DatasetNotFoundError, DataError), match=f"{folder.name}|{folder.parent.name}"):
            self.build(root, split).load(0)

    def test_a_missing_mask_is_named(self, root, split):
        dataset = self.build(root, split)
        mask = dataset.samples[0][1]
        mask.unlink()
        error = failure(dataset)
        assert error.path == mask
        assert "does not exist" in error.problem

    @pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
    def test_a_corrupt_mask_is_named(self, root, split, damage):
        dataset = self.build(root, split)
        damage(dataset.samples[0][1])
        error = failure(dataset)
        assert error.path == dataset.samples[0][1]
        assert "cannot be decoded as mask" in error.problem

    def test_a_mask_of_another_size_is_named_with_its_image(self, root, split):
        dataset = self.build(root, split)
        image, mask = dataset.samples[0]
        write_mask(mask, [next(iter(dataset.labels.id_to_train_id))], size=(HEIGHT, WIDTH + 1))
        error = failure(dataset)
        assert error.path == mask
        assert f"`{image}`, {HEIGHT}x{WIDTH}" in error.problem
        assert f"got {HEIGHT}x{WIDTH + 1}" in error.problem

    def test_an_unknown_id_is_named(self, root, split):
        dataset = self.build(root, split)
        known = dataset.labels.id_to_train_id
        unknown = min({*range(256)}.difference(known))
        write_mask(dataset.samples[0][1], [*known, unknown])
        error = failure(dataset)
        assert error.path == dataset.samples[0][1]
        assert f"`{dataset.labels.name}` does not have: {unknown} (allowed: " in error.problem

    @pytest.mark.parametrize("flip", [0, 1])
    def test_image_and_mask_stay_aligned(self, root, split, flip):
        dataset = self.build(root, split)
        left, right = [label for label in dataset.labels.labels if not label.ignored][:2]
        write_halves(*dataset.samples[0], left.id, right.id)
        augment = train_transform(self.size, fill=(0, 0, 0), scale_range=(1, 1), flip=flip)
        for image, mask in (dataset.load(0), augment(*dataset.load(0))):
            assert set(mask.flatten().tolist()) == {left.train_id, right.train_id}
            assert torch.equal((image > 127).all(dim=0), (mask == right.train_id).as_subclass(Tensor))
