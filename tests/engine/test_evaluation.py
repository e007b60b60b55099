import pytest
import torch
import torch.nn.functional as F
from torch import nn

from segdistill.engine.evaluation import Protocol, class_scores, evaluate, score, slide, to_device
from segdistill.metrics.confusion import confusion_matrix
from segdistill.types import IGNORE_INDEX, Batch

CPU = torch.device("cpu")


def network(num_classes=4, stride=2):
    """A small network that is not symmetric and sees context."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 5, stride=stride, padding=2), nn.ReLU(), nn.Conv2d(6, num_classes, 3, padding=1)
    )


def resized(logits, size):
    return F.interpolate(logits, size, mode="bilinear", align_corners=True)


def test_a_single_view_is_the_argmax_of_resized_logits():
    segment, image = network(), torch.rand(2, 3, 20, 28)
    scores = class_scores(segment, image, (40, 56), Protocol())
    assert torch.equal(scores, resized(segment(image), (40, 56)))
    assert not scores.requires_grad


def test_flip_averages_probabilities_of_the_image_and_its_mirror():
    segment, image = network(), torch.rand(1, 3, 20, 28)
    straight = resized(segment(image), (20, 28)).softmax(1)
    mirrored = resized(segment(image.flip(-1)), (20, 28)).flip(-1).softmax(1)
    scores = class_scores(segment, image, (20, 28), Protocol(flip=True))
    assert torch.allclose(scores, (straight + mirrored) / 2, atol=1e-6)
    assert not torch.allclose(straight, mirrored, atol=1e-3)


def test_flip_gives_a_mirrored_image_the_mirrored_answer():
    segment, image = network(), torch.rand(1, 3, 20, 28)
    protocol = Protocol(scales=(1.0, 1.5), flip=True)
    here = class_scores(segment, image, (20, 28), protocol)
    assert torch.allclose(class_scores(segment, image.flip(-1), (20, 28), protocol).flip(-1), here, atol=1e-5)


def test_scales_average_probabilities_at_the_label_size():
    segment, image = network(), torch.rand(1, 3, 20, 28)
    seen = []

    def spy(view):
        seen.append(tuple(view.shape[-2:]))
        return segment(view)

    scores = class_scores(spy, image, (30, 42), Protocol(scales=(0.5, 1.0, 2.0)))
    assert seen == [(10, 14), (20, 28), (40, 56)]
    views = [
        image if s == 1 else F.interpolate(image, scale_factor=s, mode="bilinear", antialias=True) for s in (0.5, 1, 2)
    ]
    expected = sum(resized(segment(view), (30, 42)).softmax(1) for view in views) / 3
    assert torch.allclose(scores, expected, atol=1e-6)
    assert torch.allclose(scores.sum(1), torch.ones(1, 30, 42))


def test_one_window_that_covers_the_image_is_the_whole_image():
    segment, image = network(), torch.rand(1, 3, 20, 28)
    whole = resized(segment(image), (20, 28))
    for window in ((20, 28), (64, 64)):
        assert torch.allclose(slide(segment, image, window), whole, atol=1e-6)


@pytest.mark.parametrize("window", [(8, 8), (7, 11), (20, 9), (1, 1), (19, 27)])
def test_windows_reach_every_pixel_and_overlaps_are_averaged(window):
    image = torch.rand(1, 3, 20, 28)
    seen = torch.zeros(20, 28)
    places = torch.arange(20 * 28.0).view(1, 1, 20, 28)
    marked = torch.cat([image[:, :2], places], 1)

    def identity(view):
        assert tuple(view.shape[-2:]) == window
        seen.view(-1)[view[0, 2].flatten().long()] += 1
        return view

    assert torch.allclose(slide(identity, marked, window), marked)
    assert seen.min() >= 1


def test_windows_overlap_by_a_third_and_the_last_one_ends_at_the_border():
    lefts = []

    def spy(view):
        lefts.append(int(view[0, 0, 0, 0]))
        return view

    slide(spy, torch.arange(30.0).expand(1, 3, 9, 30), (9, 9))
    assert lefts == [0, 6, 12, 18, 21]


def test_a_constant_network_gives_a_constant_under_every_protocol():
    def constant(view):
        return torch.tensor([0.0, 2.0, 1.0]).view(1, 3, 1, 1).expand(len(view), 3, 3, 5)

    for protocol in (
        Protocol(window=(8, 9)),
        Protocol(scales=(0.5, 1.75), flip=True),
        Protocol(scales=(0.5, 1.75), flip=True, window=(8, 9)),
    ):
        scores = class_scores(constant, torch.rand(2, 3, 20, 28), (20, 28), protocol)
        assert scores.shape == (2, 3, 20, 28)
        assert torch.allclose(scores, scores[:, :, :1, :1].expand_as(scores), atol=1e-6)
        assert (scores.argmax(1) == 1).all()


def batches(count=4, size=(20, 28), label_size=(20, 28), num_classes=4):
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        image = torch.randint(0, 256, (1, 3, *size), generator=generator, dtype=torch.uint8)
        target = torch.randint(0, num_classes, (1, *label_size), generator=generator)
        target[torch.rand(target.shape, generator=generator) < 0.2] = IGNORE_INDEX
        yield Batch(image, target)


@pytest.mark.parametrize("label_size", [(20, 28), (41, 57), (10, 14)])
def test_evaluate_counts_every_labelled_pixel_at_the_label_size(label_size):
    segment, data = network(), list(batches(label_size=label_size))
    matrix = evaluate(segment, data, num_classes=4, device=CPU)
    expected = torch.zeros(4, 4, dtype=torch.int64)
    for image, target in data:
        prediction = resized(segment(image.float() / 255), label_size).argmax(1)
        for truth in range(4):
            for found in range(4):
                expected[truth, found] += ((target == truth) & (prediction == found)).sum()
    assert torch.equal(matrix, expected)
    assert matrix.sum() == sum(int((batch.target != IGNORE_INDEX).sum()) for batch in data)


def test_two_halves_of_a_set_add_up_to_the_whole():
    segment, data = network(), list(batches(5))
    whole = evaluate(segment, data, num_classes=4, device=CPU)
    halves = [evaluate(segment, data[rank::2], num_classes=4, device=CPU) for rank in range(2)]
    assert torch.equal(whole, halves[0] + halves[1])


def test_the_score_is_of_the_set_and_not_a_mean_of_images():
    data = [
        Batch(torch.zeros(1, 3, 2, 2), torch.tensor([[[0, 0], [0, 1]]])),
        Batch(torch.zeros(1, 3, 2, 2), torch.tensor([[[1, 1], [1, 1]]])),
    ]

    def always_one(view):
        return torch.tensor([0.0, 1.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)

    scores = score(evaluate(always_one, data, num_classes=2, device=CPU), Protocol())
    assert scores.per_class_iou == [0.0, 5 / 8]
    assert scores.miou == pytest.approx(5 / 16)


def test_ignored_pixels_change_nothing_even_if_all_are():
    segment = network()
    ignored = Batch(torch.zeros(1, 3, 20, 28), torch.full((1, 20, 28), IGNORE_INDEX))
    data = list(batches())
    with_it, without = (evaluate(segment, d, num_classes=4, device=CPU) for d in ([*data, ignored], data))
    assert torch.equal(with_it, without)
    assert evaluate(segment, [ignored], num_classes=4, device=CPU).sum() == 0


def test_on_image_sees_the_batch_and_the_prediction_that_was_counted():
    seen = []
    matrix = evaluate(network(), batches(), num_classes=4, device=CPU, on_image=lambda *both: seen.append(both))
    assert torch.equal(matrix, sum(confusion_matrix(p, batch.target, 4) for batch, p in seen))
    assert seen[0][0].image.dtype == torch.float32
    assert seen[0][0].image.max() <= 1


def test_bfloat16_runs_the_network_in_bfloat16_and_adds_up_in_float32():
    segment, dtypes = network(), set()

    def spy(view):
        logits = segment(view)
        dtypes.add(logits.dtype)
        return logits

    evaluate(spy, batches(1), num_classes=4, device=CPU, precision=torch.bfloat16)
    assert dtypes == {torch.bfloat16}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert class_scores(spy, torch.rand(1, 3, 20, 28), (20, 28), Protocol(window=(8, 8))).dtype == torch.float32


def test_the_paper_protocol_counts_absent_classes_as_zero():
    confusion = torch.tensor([[6, 2, 0], [0, 8, 0], [0, 0, 0]])
    assert score(confusion, Protocol()).miou == pytest.approx((6 / 8 + 8 / 10) / 2)
    assert score(confusion, Protocol(absent="zero")).miou == pytest.approx((6 / 8 + 8 / 10) / 3)


def test_to_device_widens_labels_of_a_byte():
    target = torch.tensor([[[0, 1, 18, IGNORE_INDEX]]], dtype=torch.uint8)
    moved = to_device(Batch(torch.zeros(1, 3, 1, 4), target), CPU).target
    assert moved.dtype == torch.int64
    assert moved.tolist() == [[[0, 1, 18, IGNORE_INDEX]]]


def test_to_device_scales_bytes_and_leaves_floats():
    image, target = torch.tensor([0, 51, 255], dtype=torch.uint8), torch.tensor([1])
    assert torch.allclose(to_device(Batch(image, target), CPU).image, torch.tensor([0.0, 0.2, 1.0]))
    ready = torch.tensor([0.0, 0.2, 0.7])
    assert torch.equal(to_device(Batch(ready, target), CPU).image, ready)


def test_the_protocols_text_holds_every_choice():
    text = Protocol().describe("camvid", "val", 101, 11)
    assert text == (
        "camvid val (101 images), whole image, 1x, no flip, 11 classes, labels at native size, "
        "mean over classes that occur"
    )
    other = Protocol((0.75, 1.0), True, (512, 768), "zero").describe("coco_stuff", "val", 5000, 182, 0.5)
    for choice in ("coco_stuff val (5000", "512x768 window", "resized by 0.5", "0.75x+1x", ", flip", "182 classes",
                   "all classes, absent ones as 0"):  # fmt: skip
        assert choice in other
