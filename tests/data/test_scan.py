import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.fakes import HEIGHT, WIDTH, make_camvid, make_folder, truncate, write_image, write_mask

from segdistill.data import CamVid, Folder, Images, Streets, scan


def test_a_clean_set(tmp_path):
    dataset = CamVid(make_camvid(tmp_path), "train")
    seen = []
    report = scan(dataset, progress=lambda done, total: seen.append((done, total)))
    assert report.num_samples == 4
    assert report.faults == []
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert report.image_sizes == {(HEIGHT, WIDTH): 4}
    masks = torch.stack([dataset[index][1] for index in range(4)])
    assert report.histogram.dtype == torch.int64
    assert report.histogram.tolist() == [int((masks == train_id).sum()) for train_id in range(11)]
    assert report.ignored_pixels == int((masks == 255).sum()) > 0
    assert report.missing_classes == []


@pytest.mark.parametrize("num_workers", [0, 3])
def test_all_faults_are_found(tmp_path, num_workers):
    root = make_folder(tmp_path, num_images=7)
    images, masks = root / "train/images", root / "train/masks"
    truncate(images / "scene0.jpg")
    truncate(masks / "scene1.png")
    (masks / "scene2.png").unlink()
    write_mask(masks / "scene3.png", range(3), size=(5, 5))
    write_mask(masks / "scene4.png", [0, 7])
    write_image(masks / "scene5.png")
    write_mask(masks / "orphan.png", [0])
    report = scan(Folder(root), num_workers=num_workers)
    assert [fault.path.name for fault in report.faults] == [
        *("scene0.jpg", "scene1.png", "scene2.png", "scene3.png", "scene4.png", "scene5.png", "orphan.png")
    ]
    assert all(fault.problem and fault.remedy.endswith(".") for fault in report.faults)
    assert report.num_samples == 7
    assert int(report.histogram.sum()) == HEIGHT * WIDTH


def test_missing_classes_are_named_and_other_sizes_counted(tmp_path):
    root = make_folder(tmp_path, num_images=3)
    for index in range(3):
        write_mask(root / f"train/masks/scene{index}.png", [0, 2, 255])
    write_image(root / "train/images/scene2.jpg", size=(8, 9))
    write_mask(root / "train/masks/scene2.png", [2], size=(8, 9))
    report = scan(Folder(root))
    assert report.missing_classes == ["class 1"]
    assert report.image_sizes == {(HEIGHT, WIDTH): 2, (8, 9): 1}


def test_unlabelled_images(tmp_path):
    write_image(tmp_path / "a.png")
    report = scan(Images(tmp_path, classes=["x", "y"]))
    assert report.histogram.tolist() == [0, 0]
    assert report.ignored_pixels == HEIGHT * WIDTH
    assert report.missing_classes == []


def test_workers_must_not_be_negative(tmp_path):
    write_image(tmp_path / "a.png")
    with pytest.raises(ValueError, match="`num_workers`"):
        scan(Images(tmp_path), num_workers=-1)


def test_a_data_set_without_files():
    report = scan(Streets(split="val", size=(32, 48), num_images=2))
    assert report.num_samples == 2
    assert report.faults == []
    assert report.image_sizes == {(32, 48): 2}


def test_values_that_the_class_list_does_not_have_are_counted(tmp_path):
    root = make_folder(tmp_path, num_images=3)
    for index in range(2):
        write_mask(root / f"train/masks/scene{index}.png", [0, 1, 2, 11])
    Image.fromarray(np.full((HEIGHT, WIDTH), -1, dtype=np.int32)).save(root / "train/masks/scene2.tif")
    (root / "train/masks/scene2.png").unlink()
    report = scan(Folder(root))
    assert list(report.unknown_ids) == [-1, 11]
    assert [path.name for path in report.unknown_ids[11].masks] == ["scene0.png", "scene1.png"]
    assert report.unknown_ids[11].pixels == 2 * HEIGHT * WIDTH // 4
    assert report.unknown_ids[-1].pixels == HEIGHT * WIDTH
    assert len(report.faults) == report.masks == 3


def test_masks_of_two_values_are_kept_by_their_values(tmp_path):
    root = make_folder(tmp_path, num_images=4, num_classes=2)
    for index, ids in enumerate(([0, 255], [0], [0, 1], [0, 1, 255])):
        write_mask(root / f"train/masks/scene{index}.png", ids)
    report = scan(Folder(root))
    assert list(report.pairs) == [(0, 255)]
    assert [path.name for path in report.pairs[0, 255].masks] == ["scene0.png", "scene1.png"]


def test_masks_without_a_pixel_that_counts_are_counted(tmp_path):
    root = make_folder(tmp_path, num_images=3)
    write_mask(root / "train/masks/scene1.png", [255])
    assert scan(Folder(root)).unlabelled == 1
    assert scan(Images(root / "train/images")).unlabelled == 0
