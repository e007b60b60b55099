import numpy as np
import pytest

from segdistill.data import STREETS_LABELS
from segdistill.data.streets.scene import draw_scene


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def test_labels_are_the_nine_classes_and_void_and_all_occur():
    scenes = [draw_scene(rng(seed), (96, 160))[1] for seed in range(30)]
    share = np.bincount(np.stack(scenes).ravel(), minlength=256) / np.stack(scenes).size
    assert set(np.flatnonzero(share)) == {*range(STREETS_LABELS.num_classes), 255}
    assert share[:9].min() > 0.001
    assert share[255] < 0.1
    assert STREETS_LABELS.names[3] == "road"
    assert share.argmax() == 3


def test_the_picture_shows_what_the_mask_says():
    # Were image and mask misaligned, the mean colour of classes would not differ more than inside them.
    image, mask = draw_scene(rng(3), (96, 160))
    sky, road = (image[mask == label].mean(axis=0) for label in (0, 3))
    assert np.abs(sky - road).max() > 15
    shifted = np.roll(mask, 40, axis=0)
    spread = image[mask == 0].std(axis=0).mean()
    assert spread < image[shifted == 0].std(axis=0).mean()


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (192, 320)])
def test_any_size(size):
    image, mask = draw_scene(rng(1), size)
    assert image.shape == (*size, 3)
    assert mask.shape == size
