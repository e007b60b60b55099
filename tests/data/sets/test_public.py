"""The readers of public data sets, on generated trees of the real layout."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.fakes import (
    HEIGHT,
    WIDTH,
    make_ade20k,
    make_camvid,
    make_cityscapes,
    make_coco_stuff,
    make_voc,
    write_image,
    write_mask,
)
from torchvision import tv_tensors

from segdistill.data import ADE20K, DATASETS, VOC, CamVid, Cityscapes, COCOStuff
from segdistill.util import DataError, DatasetNotFoundError

READERS = [
    (make_cityscapes, Cityscapes, "train", 3, True),
    (make_cityscapes, Cityscapes, "val", 2, True),
    (make_cityscapes, Cityscapes, "test", 1, False),
    (make_voc, VOC, "train", 3, True),
    (make_voc, VOC, "val", 2, True),
    (make_camvid, CamVid, "train", 4, True),
    (make_camvid, CamVid, "val", 2, True),
    (make_camvid, CamVid, "test", 3, True),
    (make_ade20k, ADE20K, "train", 3, True),
    (make_ade20k, ADE20K, "val", 2, True),
    (make_coco_stuff, COCOStuff, "train", 3, True),
    (make_coco_stuff, COCOStuff, "val", 2, True),
]


@pytest.mark.parametrize(("make", "reader", "split", "count", "labelled"), READERS)
def test_every_split(tmp_path, make, reader, split, count, labelled):
    dataset = reader(make(tmp_path), split)
    assert len(dataset) == count
    assert [path for path, _ in dataset.samples] == sorted(path for path, _ in dataset.samples)
    for index in range(count):
        image, mask = dataset[index]
        assert isinstance(image, tv_tensors.Image)
        assert isinstance(mask, tv_tensors.Mask)
        assert image.dtype == mask.dtype == torch.uint8
        assert image.shape == (3, HEIGHT, WIDTH)
        raw = dataset.samples[index][1]
        if not labelled:
            assert raw is None
            assert (mask == 255).all()
            continue
        ids = np.array(Image.open(raw)).ravel().tolist()
        expected = [dataset.labels.id_to_train_id[i] for i in ids]
        assert mask.flatten().tolist() == expected


@pytest.mark.parametrize(("make", "reader", "split", "count", "labelled"), READERS)
def test_missing_folders_name_the_layout(tmp_path, make, reader, split, count, labelled):
    with pytest.raises(DatasetNotFoundError, match=r"absent.*Expected: "):
        reader(tmp_path / "absent", split)
    make(tmp_path)
    dataset = reader(tmp_path, split)
    shutil.rmtree((dataset.samples[0][1] or dataset.samples[0][0]).parent)
    with pytest.raises((DatasetNotFoundError, DataError)):
        reader(tmp_path, split).load(0)


@pytest.mark.parametrize("reader", [Cityscapes, VOC, CamVid, ADE20K, COCOStuff])
def test_unknown_split_lists_the_splits(tmp_path, reader):
    with pytest.raises(ValueError, match=r"must be one of train, val.*got 'training'"):
        reader(tmp_path, "training")


def test_table_names_every_reader():
    assert set(DATASETS) == {*("ade20k", "camvid", "cityscapes", "coco_stuff", "folder", "images", "streets", "voc")}


def test_voc_reads_palette_masks_as_indices(tmp_path):
    dataset = VOC(make_voc(tmp_path), "val")
    with Image.open(dataset.samples[0][1]) as picture:
        assert picture.mode == "P"
    assert set(dataset[0][1].flatten().tolist()) == {*range(21), 255}


def test_voc_train_list_wins_over_the_folder(tmp_path):
    make_voc(tmp_path, train_list=True)
    assert [path.stem for path, _ in VOC(tmp_path, "train").samples] == ["2007_000032", "2007_000039"]
    lists = tmp_path / "ImageSets" / "Segmentation"
    (lists / "train_aug.txt").rename(lists / "trainaug.txt")
    assert len(VOC(tmp_path, "train")) == 2


@pytest.mark.parametrize("line", ["../../secret", "/etc/passwd", "a/b", "..", "C:\\x"])
def test_voc_refuses_lists_that_leave_the_root(tmp_path, line):
    make_voc(tmp_path)
    (tmp_path / "ImageSets/Segmentation/train_aug.txt").write_text(f"2007_000032\n{line}\n")
    with pytest.raises(DataError, match=r"train_aug\.txt.*plain file names"):
        VOC(tmp_path, "train")


@pytest.mark.parametrize(("text", "message"), [("\n\n", "lists no names"), ("a\na\n", "twice: a")])
def test_voc_refuses_odd_lists(tmp_path, text, message):
    make_voc(tmp_path)
    (tmp_path / "ImageSets/Segmentation/val.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        VOC(tmp_path, "val")


def test_voc_refuses_links_that_leave_the_root(tmp_path):
    root = make_voc(tmp_path / "voc")
    outside = tmp_path / "outside.jpg"
    write_image(outside)
    listed = root / "JPEGImages" / "2007_000033.jpg"
    listed.unlink()
    listed.symlink_to(outside)
    with pytest.raises(DataError, match="link that leaves"):
        VOC(root, "val")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".JPEG"])
def test_camvid_pairs_by_stem(tmp_path, suffix):
    dataset = CamVid(make_camvid(tmp_path, suffix=suffix), "train")
    assert len(dataset) == 4
    for image, mask in dataset.samples:
        assert image.suffix == suffix
        assert image.stem == mask.stem
        assert mask.parent.name == "trainannot"


def test_a_stem_twice_is_an_error(tmp_path):
    make_camvid(tmp_path)
    write_image(tmp_path / "train" / "0001TP_006690.jpg")
    with pytest.raises(DataError, match=r"two files named 0001TP_006690.*\.jpg and .*\.png.*Remove"):
        CamVid(tmp_path, "train")


def test_an_empty_folder_is_an_error(tmp_path):
    for folder in ("train", "trainannot", "leftImg8bit/val", "gtFine/val"):
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(DatasetNotFoundError, match="holds none"):
        CamVid(tmp_path, "train")
    with pytest.raises(DatasetNotFoundError, match="by city"):
        Cityscapes(tmp_path, "val")


def test_cityscapes_without_a_citys_masks(tmp_path):
    make_cityscapes(tmp_path)
    shutil.rmtree(tmp_path / "gtFine/train/zurich")
    with pytest.raises(DatasetNotFoundError, match="gtFine/train/zurich"):
        Cityscapes(tmp_path, "train")


def test_coco_stuff_protocols(tmp_path):
    make_coco_stuff(tmp_path)
    ours, paper = COCOStuff(tmp_path, "val"), COCOStuff(tmp_path, "val", classes=182)
    assert (ours.labels.num_classes, paper.labels.num_classes) == (171, 182)
    raw = torch.from_numpy(np.array(Image.open(paper.samples[0][1])))
    assert torch.equal(paper[0][1].as_subclass(torch.Tensor), raw)
    assert int(ours[0][1][raw == 181][0]) == 170
    with pytest.raises(ValueError, match="`classes` must be 171 or 182; got 172"):
        COCOStuff(tmp_path, "val", classes=172)


def test_coco_stuff_unused_ids_are_faults(tmp_path):
    make_coco_stuff(tmp_path)
    write_mask(tmp_path / "annotations/val2017/000000000139.png", (0, 11, 90))
    with pytest.raises(DataError, match="11, 90"):
        COCOStuff(tmp_path, "val").load(0)
    assert COCOStuff(tmp_path, "val", classes=182).load(0)[1].max() == 90
