import math
import random

import pytest
import torch
from benchmarks.loader import augment_whole
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as tvf

from segdistill.data.transforms import Window, resize, resize_mask_window, resize_window, train_transform

FILL = (124.0, 117.0, 104.0)


def pair_of(height, width, *, seed=0, cell=8):
    """A mask of large cells, and an image whose red channel is the mask."""
    generator = torch.Generator().manual_seed(seed)
    cells = torch.randint(0, 5, (height // cell + 1, width // cell + 1), generator=generator)
    mask = cells.repeat_interleave(cell, 0).repeat_interleave(cell, 1)[:height, :width].to(torch.uint8)
    image = torch.stack([mask * 40, torch.zeros_like(mask), torch.full_like(mask, 9)])
    return tv_tensors.Image(image), tv_tensors.Mask(mask)


@pytest.mark.parametrize("size", [(40, 64), (64, 40), (96, 128), (17, 23)])
def test_image_and_mask_stay_aligned(size):
    transform = train_transform((48, 56), fill=FILL)
    for seed in range(20):
        image, mask = transform(*pair_of(*size, seed=seed), torch.Generator().manual_seed(seed))
        assert image.shape == (3, 48, 56)
        assert mask.shape == (48, 56)
        assert image.dtype == mask.dtype == torch.uint8
        padded = mask == 255
        filled = (image.movedim(0, -1) == torch.tensor(FILL)).all(dim=-1)
        assert torch.equal(filled, padded)
        # Only pixels interpolated between two cells may differ; a shift makes it worse.
        assert agreement(image, mask) > 0.5
        assert agreement(image, mask) > agreement(image[:, :, 2:], mask[:, :-2])
        assert agreement(image, mask) > agreement(image[:, 2:], mask[:-2])


def agreement(image, mask):
    close = (image[0].int() - mask.int() * 40).abs() <= 2
    return float(close[mask != 255].float().mean())


def test_without_scaling_alignment_is_exact():
    transform = train_transform((48, 56), fill=FILL, scale_range=(1.0, 1.0))
    for seed in range(10):
        image, mask = transform(*pair_of(40, 90, seed=seed), torch.Generator().manual_seed(seed))
        kept = mask != 255
        assert torch.equal(image[0][kept], mask[kept] * 40)


def test_padding_is_at_the_right_and_bottom():
    transform = train_transform((20, 30), fill=FILL, scale_range=(1.0, 1.0), flip=0)
    _, mask = transform(*pair_of(12, 18))
    assert (mask[:12, :18] != 255).all()
    assert (mask == 255).sum() == 20 * 30 - 12 * 18


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_flip(flip):
    image, mask = pair_of(16, 32)
    out = train_transform((16, 32), fill=FILL, scale_range=(1, 1), flip=flip)(image, mask)
    expected = (image.flip(-1), mask.flip(-1)) if flip else (image, mask)
    assert torch.equal(out[0], expected[0])
    assert torch.equal(out[1], expected[1])


def test_scales_are_the_authors():
    scales = train_transform((8, 8), fill=FILL).scales
    assert scales == tuple(round(0.5 + i / 10, 1) for i in range(16))


def test_every_scale_and_crop_position_is_reached():
    transform = train_transform((4, 4), fill=FILL, scale_range=(1, 1), flip=0)
    image = tv_tensors.Image(torch.arange(36, dtype=torch.uint8).reshape(1, 6, 6).expand(3, 6, 6))
    mask = tv_tensors.Mask(torch.zeros(6, 6, dtype=torch.uint8))
    generator = torch.Generator().manual_seed(0)
    corners = {int(transform(image, mask, generator)[0][0, 0, 0]) for _ in range(300)}
    assert corners == {row * 6 + column for row in range(3) for column in range(3)}


def test_the_generator_is_the_only_chance():
    transform = train_transform((16, 16), fill=FILL)
    first, second = (transform(*pair_of(40, 40), torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first[0], second[0])
    before = torch.get_rng_state()
    transform(*pair_of(40, 40), torch.Generator())
    assert torch.equal(before, torch.get_rng_state())


def test_resize_keeps_labels_whole():
    image, mask = resize(*pair_of(31, 45), 0.5)
    assert image.shape == (3, 16, 22)
    assert set(mask.flatten().tolist()) <= set(range(5))


def noise(height, width, seed, *, planes=False):
    """Random pixels, in memory by pixel as they are decoded, or by plane."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (height, width, 3), generator=generator, dtype=torch.uint8).permute(2, 0, 1)
    mask = torch.randint(0, 256, (height, width), generator=generator, dtype=torch.uint8)
    return tv_tensors.Image(image.contiguous() if planes else image), tv_tensors.Mask(mask)


BYTES_ARE_RESIZED_AS_BYTES = tvf._geometry._do_native_uint8_resize_on_cpu(tvf.InterpolationMode.BILINEAR)


def assert_same_image(found, expected):
    """Equal bits, where torch resizes bytes; else within the rounding between two passes."""
    limit = 0 if BYTES_ARE_RESIZED_AS_BYTES else 1
    assert (found.int() - expected.int()).abs().max() <= limit


@pytest.mark.parametrize("seed", range(60))
def test_a_crop_is_that_of_the_whole_image_resized(seed):
    draw = random.Random(seed)
    height, width = draw.randint(1, 90), draw.randint(1, 120)
    crop = (draw.randint(1, 80), draw.randint(1, 80))  # often larger than the image
    low = draw.uniform(0.2, 1.2)
    transform = train_transform(crop, fill=FILL, scale_range=(low, low + draw.uniform(0, 2)), scale_step=0.07)
    pair = noise(height, width, seed, planes=draw.random() < 0.3)
    for turn in range(8):
        image, mask = transform(*pair, torch.Generator().manual_seed(turn))
        expected_image, expected_mask = augment_whole(transform, *pair, torch.Generator().manual_seed(turn))
        assert_same_image(image, expected_image)
        assert torch.equal(mask, expected_mask)
        assert isinstance(image, tv_tensors.Image)
        assert isinstance(mask, tv_tensors.Mask)
        assert image.is_contiguous()


@pytest.mark.parametrize("size", [(512, 1024), (1024, 2048), (717, 1434), (131, 257), (2001, 3999)])
def test_windows_at_every_edge_of_a_photograph_are_exact(size):
    image, mask = noise(1024, 2048, 0)
    whole_image, whole_mask = tvf.resize(image, list(size), antialias=True), tvf.resize(mask, list(size))
    height, width = min(100, size[0]), min(150, size[1])
    for top in (0, 1, (size[0] - height) // 2, size[0] - height):
        for left in (0, 1, size[1] - width):
            window = Window(top, left, height, width)
            part = (slice(top, top + height), slice(left, left + width))
            assert_same_image(resize_window(image, size, window), whole_image[:, part[0], part[1]])
            assert torch.equal(resize_mask_window(mask, size, window), whole_mask[part])


def test_only_the_rows_below_a_window_are_read():
    image, mask = noise(200, 60, 0)
    window = Window(100, 3, 40, 50)
    before = resize_window(image, (400, 120), window), resize_mask_window(mask, (400, 120), window)
    for each in (image, mask):
        each[..., : 100 // 2 - 4, :] = 0
        each[..., math.ceil(140 / 2) + 4 :, :] = 0
    after = resize_window(image, (400, 120), window), resize_mask_window(mask, (400, 120), window)
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop_size": (0, 4)}, "`crop_size`"),
        ({"crop_size": (4,)}, "`crop_size`"),
        ({"crop_size": (4.5, 4)}, "`crop_size`"),
        ({"scale_range": (2.0, 0.5)}, "`scale_range`"),
        ({"scale_range": (0, 1)}, "`scale_range`"),
        ({"scale_step": 0}, "`scale_step`"),
        ({"fill": ()}, "`fill`"),
        ({"fill": (1, 2, 256)}, "`fill`"),
        ({"flip": 1.5}, "`flip`"),
    ],
)
def test_arguments_are_checked(options, message):
    arguments = {"crop_size": (8, 8), "fill": FILL, **options}
    with pytest.raises(ValueError, match=message):
        train_transform(arguments.pop("crop_size"), **arguments)
