import itertools

import pytest
import torch
import torch.nn.functional as F
from tests.reference.boundary import counts_by_loops

from segdistill.metrics.boundary import BOUNDARY_RULE, boundary_counts, boundary_scores, empty_boundary_counts
from segdistill.types import IGNORE_INDEX


def blobs(num_classes, size, seed, cell=5):
    """Smooth random regions."""
    generator = torch.Generator().manual_seed(seed)
    batch, height, width = size
    coarse = torch.randn(batch, num_classes, -(-height // cell), -(-width // cell), generator=generator)
    return F.interpolate(coarse, (height, width), mode="bilinear").argmax(1)


def sample(num_classes=3, size=(2, 17, 23), seed=0, ignored=0.08):
    prediction, target = blobs(num_classes, size, seed), blobs(num_classes, size, seed + 100)
    target = torch.where(blobs(4, size, seed + 200) == 0, target, prediction)  # agree in most places
    holes = torch.rand(size[0], -(-size[1] // 4), -(-size[2] // 4), generator=torch.Generator().manual_seed(seed))
    holes = F.interpolate(holes[:, None], size[1:])[:, 0] < ignored
    return prediction, target.masked_fill(holes, IGNORE_INDEX)


def square(size=20, top=5, left=5, side=8):
    mask = torch.zeros(1, size, size, dtype=torch.int64)
    mask[:, top : top + side, left : left + side] = 1
    return mask


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("band", "tolerance"), [(0.02, 0.0075), (0.1, 0.05), (0.2, 0.15), (3.0, 0.3)])
def test_equals_loops_over_pixels(seed, band, tolerance):
    prediction, target = sample(num_classes=2 + seed % 3, size=(2, 13 + seed, 18 - seed), seed=seed)
    counts = boundary_counts(prediction, target, 4, band=band, tolerance=tolerance)
    assert counts.dtype == torch.int64
    assert counts.tolist() == counts_by_loops(prediction.tolist(), target.tolist(), 4, band, tolerance)
    assert (counts[:, [0, 2, 4]] <= counts[:, [1, 3, 5]]).all()
    assert counts[:, :2].sum() > 0
    assert tolerance > 0.1 or counts[:, 2:].sum() > 0


@pytest.mark.parametrize("size", [(1, 1, 1), (1, 1, 9), (1, 9, 1), (3, 2, 3)])
def test_images_of_a_few_pixels(size):
    for seed in range(4):
        target, prediction = torch.randint(0, 3, (2, *size), generator=torch.Generator().manual_seed(seed))
        target[..., ::5] = IGNORE_INDEX
        expected = counts_by_loops(prediction.tolist(), target.tolist(), 3, 0.5, 0.4)
        assert boundary_counts(prediction, target, 3, band=0.5, tolerance=0.4).tolist() == expected


def test_noise_where_nearly_every_pixel_is_a_contour():
    prediction, target = torch.randint(0, 5, (2, 2, 12, 14), generator=torch.Generator().manual_seed(0))
    target[0, 3:5] = IGNORE_INDEX
    assert boundary_counts(prediction, target, 5).tolist() == counts_by_loops(prediction.tolist(), target.tolist(), 5)


def test_default_distances_are_those_of_the_sources():
    # 480x360 has a diagonal of 600: a band of 12 pixels, a tolerance of 4.5 rounded up
    target = torch.zeros(1, 360, 480, dtype=torch.int64)
    target[..., 200:] = 1
    prediction = target.clone()
    prediction[..., 200:205] = 0
    counts = boundary_counts(prediction, target, 2)
    assert counts[0].tolist() == [360 * 7, 360 * 17, 360, 360, 360, 360]
    prediction[..., 205] = 0
    assert boundary_counts(prediction, target, 2)[0].tolist() == [360 * 6, 360 * 18, 0, 360, 0, 360]


def test_the_rule_names_the_default_distances():
    assert "IoU within 2% of the image diagonal, boundary F within 0.75%" in BOUNDARY_RULE


def test_batches_add_up_to_the_set():
    prediction, target = sample(5, size=(4, 20, 30))
    total = empty_boundary_counts(5)
    for i in range(4):
        total += boundary_counts(prediction[i : i + 1], target[i : i + 1], 5)
    assert torch.equal(total, boundary_counts(prediction, target, 5))


def test_what_is_predicted_on_ignored_pixels_changes_nothing():
    prediction, target = sample(4, ignored=0.3)
    ignored = target == IGNORE_INDEX
    assert 0.1 < ignored.float().mean() < 0.6
    expected = boundary_counts(prediction, target, 4, tolerance=0.04)
    for seed in range(5):
        noise = torch.randint(0, 4, target.shape, generator=torch.Generator().manual_seed(seed))
        noisy = torch.where(ignored, noise, prediction)
        assert torch.equal(boundary_counts(noisy, target, 4, tolerance=0.04), expected)


def test_a_prediction_that_is_right_wherever_a_label_is_scores_one():
    prediction, target = sample(4, size=(3, 40, 50), ignored=0.05)
    right = torch.where(target == IGNORE_INDEX, prediction, target)
    scores = boundary_scores(boundary_counts(right, target, 4))
    assert scores.iou == scores.f == 1
    assert all(value in (1, None) for value in (*scores.per_class_iou, *scores.per_class_f))


def test_the_edge_of_an_ignored_area_and_of_the_image_is_no_contour():
    target = torch.zeros(1, 30, 30, dtype=torch.int64)
    target[:, 10:20] = IGNORE_INDEX
    counts = boundary_counts(target.clamp_max(1), target, 2)
    assert counts.sum() == 0
    scores = boundary_scores(counts)
    assert scores == (0, 0, [None, None], [None, None])


def test_a_contour_that_may_hide_under_ignored_pixels_is_neither_counted_nor_punished():
    target = torch.zeros(1, 40, 40, dtype=torch.int64)
    target[..., 20:] = 1
    target[..., 18:22] = IGNORE_INDEX  # a strip over the contour, as VOC draws it
    prediction = torch.zeros_like(target)
    prediction[..., 17:] = 1  # one pixel beside the strip, and the true contour may be there
    assert boundary_counts(prediction, target, 2, tolerance=0.04)[:, 2:].sum() == 0
    far = torch.zeros_like(target)
    far[..., 12:] = 1  # too far from the strip to be right
    assert boundary_counts(far, target, 2, tolerance=0.04)[:, 2:].tolist() == [[0, 40, 0, 0], [0, 40, 0, 0]]


def test_contours_do_not_depend_on_orientation_or_class_names():
    prediction, target = sample(3, size=(1, 25, 25), ignored=0.05)
    expected = boundary_counts(prediction, target, 3, band=0.1, tolerance=0.06)
    for turns, mirror in itertools.product(range(4), (False, True)):
        moved = [torch.rot90(ids, turns, (1, 2)).flip(-1 if mirror else ()) for ids in (prediction, target)]
        assert torch.equal(boundary_counts(*moved, 3, band=0.1, tolerance=0.06), expected)
    order = torch.tensor([2, 0, 1])
    renamed = [torch.where(ids == IGNORE_INDEX, ids, order[ids.clamp_max(2)]) for ids in (prediction, target)]
    assert torch.equal(boundary_counts(*renamed, 3, band=0.1, tolerance=0.06)[order], expected)


def test_swapping_the_maps_keeps_iou_and_swaps_precision_and_recall():
    prediction, target = sample(3, ignored=0)
    there, back = boundary_counts(prediction, target, 3), boundary_counts(target, prediction, 3)
    assert torch.equal(there[:, [0, 1, 4, 5, 2, 3]], back)
    assert boundary_scores(there) == boundary_scores(back)


def test_a_moved_object_loses_more_on_its_contour_than_on_its_area():
    target = square()
    for shift in (1, 2):
        moved = target.roll((shift, shift), (1, 2))
        scores = boundary_scores(boundary_counts(moved, target, 2))
        area = (moved & target).sum() / (moved | target).sum()
        assert scores.per_class_iou[1] < area
    assert boundary_scores(boundary_counts(target.roll(1, 1), target, 2)).f == 1  # within the tolerance
    assert boundary_scores(boundary_counts(target.roll(3, 1), target, 2)).f < 0.9


def test_classes_that_never_occur_have_no_score_and_invented_ones_score_zero():
    counts = boundary_counts(square(), torch.zeros(1, 20, 20, dtype=torch.int64), 3)
    scores = boundary_scores(counts)
    assert scores.per_class_iou == [0, 0, None]
    assert scores.per_class_f == [0, 0, None]
    assert (scores.iou, scores.f) == (0, 0)


def test_scores_by_hand():
    scores = boundary_scores(torch.tensor([[3, 6, 8, 10, 6, 10], [1, 4, 0, 2, 0, 0], [0, 0, 0, 0, 0, 0]]))
    assert scores.per_class_iou == [0.5, 0.25, None]
    assert scores.per_class_f[0] == pytest.approx(2 * 0.8 * 0.6 / 1.4)
    assert scores.per_class_f[1:] == [0, None]
    assert scores.iou == pytest.approx(0.375)
    assert scores.f == pytest.approx(scores.per_class_f[0] / 2)


def test_all_ignored_and_no_image_count_nothing():
    ignored = torch.full((2, 6, 7), IGNORE_INDEX)
    assert boundary_counts(torch.zeros_like(ignored), ignored, 4).tolist() == [[0] * 6] * 4
    assert boundary_counts(ignored[:0], ignored[:0], 4).tolist() == [[0] * 6] * 4


def test_inputs_stay_as_they_are():
    prediction, target = sample()
    before = prediction.clone(), target.clone()
    boundary_counts(prediction, target, 3)
    assert torch.equal(prediction, before[0])
    assert torch.equal(target, before[1])


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        (((2, 4, 4), (2, 4, 5)), {}, r"of one shape; got \(2, 4, 4\) and \(2, 4, 5\)"),
        (((4, 4), (4, 4)), {}, r"\(B, H, W\) of one shape; got \(4, 4\)"),
        (((1, 4, 4),) * 2, {"band": 0}, "`band` must be a finite share .* got 0"),
        (((1, 4, 4),) * 2, {"tolerance": float("nan")}, "`tolerance` must be a finite share .* got nan"),
    ],
)
def test_wrong_arguments_are_named(shapes, options, message):
    with pytest.raises(ValueError, match=message):
        boundary_counts(*(torch.zeros(shape, dtype=torch.int64) for shape in shapes), 2, **options)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_counts_the_same():
    prediction, target = sample(5, size=(2, 60, 80))
    counts = boundary_counts(prediction.cuda(), target.cuda(), 5)
    assert counts.is_cuda
    assert torch.equal(counts.cpu(), boundary_counts(prediction, target, 5))
