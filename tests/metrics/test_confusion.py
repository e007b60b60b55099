import pytest
import torch

from segdistill.metrics.confusion import confusion_matrix, scores
from segdistill.metrics.gap import gap_closed
from segdistill.types import IGNORE_INDEX


def slow_confusion(prediction, target, num_classes):
    matrix = [[0] * num_classes for _ in range(num_classes)]
    for guess, truth in zip(prediction.flatten().tolist(), target.flatten().tolist(), strict=True):
        if truth != IGNORE_INDEX:
            matrix[truth][guess] += 1
    return matrix


def sample(num_classes, size=(2, 7, 9), seed=0):
    generator = torch.Generator().manual_seed(seed)
    prediction = torch.randint(0, num_classes, size, generator=generator)
    target = torch.randint(0, num_classes, size, generator=generator)
    target[torch.rand(size, generator=generator) < 0.2] = IGNORE_INDEX
    return prediction, target


@pytest.mark.parametrize("num_classes", [2, 5, 19])
def test_equals_a_loop_over_pixels(num_classes):
    prediction, target = sample(num_classes)
    matrix = confusion_matrix(prediction, target, num_classes)
    assert matrix.dtype == torch.int64
    assert matrix.tolist() == slow_confusion(prediction, target, num_classes)


def test_images_one_by_one_add_up_to_the_set():
    prediction, target = sample(6)
    parts = sum(confusion_matrix(prediction[i], target[i], 6) for i in range(2))
    assert torch.equal(parts, confusion_matrix(prediction, target, 6))


def test_all_ignored_is_an_empty_matrix():
    target = torch.full((3, 3), IGNORE_INDEX)
    assert confusion_matrix(torch.zeros(3, 3, dtype=torch.int64), target, 4).sum() == 0


def test_scores_by_hand():
    # class 0: 3 right, 1 taken for 1; class 1: 2 right, 2 taken for 0; class 2 occurs nowhere
    result = scores(torch.tensor([[3, 1, 0], [2, 2, 0], [0, 0, 0]]))
    assert result.per_class_iou == [3 / 6, 2 / 5, None]
    assert result.miou == pytest.approx((3 / 6 + 2 / 5) / 2)
    assert result.pixel_accuracy == pytest.approx(5 / 8)


def test_absent_classes_count_as_zero_under_the_paper_protocol():
    confusion = torch.tensor([[4, 0, 0], [0, 4, 0], [0, 0, 0]])
    assert scores(confusion).miou == 1
    assert scores(confusion, absent="zero").miou == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="got 'maybe'"):
        scores(confusion, absent="maybe")


def test_a_class_only_predicted_counts_as_wrong():
    assert scores(torch.tensor([[3, 1], [0, 0]])).per_class_iou == [0.75, 0.0]


def test_nothing_labelled_scores_zero_and_not_nan():
    result = scores(torch.zeros(3, 3, dtype=torch.int64))
    assert (result.miou, result.pixel_accuracy) == (0, 0)


def test_gap_closed():
    assert gap_closed(0.60, 0.60, 0.70) == 0
    assert gap_closed(0.70, 0.60, 0.70) == 1
    assert gap_closed(0.55, 0.60, 0.70) == pytest.approx(-0.5)
    assert gap_closed(0.6, 0.6, 0.5) is None
