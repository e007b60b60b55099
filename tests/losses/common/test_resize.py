import torch

from segdistill.losses.common.resize import match_labels, match_size

torch.set_num_threads(1)


def test_equal_sizes_are_passed_through():
    maps, labels = torch.rand(1, 3, 4, 5), torch.zeros(1, 4, 5, dtype=torch.int64)
    assert match_size(maps, torch.empty(1, 9, 4, 5)) is maps
    assert match_labels(labels, maps) is labels


def test_a_constant_map_stays_constant_and_keeps_its_channels():
    resized = match_size(torch.full((2, 3, 4, 5), 7.0), torch.empty(2, 9, 11, 3))
    torch.testing.assert_close(resized, torch.full((2, 3, 11, 3), 7.0))


def test_labels_stay_integers_and_are_never_mixed():
    labels = torch.tensor([[[0, 255], [181, 7]]])
    resized = match_labels(labels, torch.empty(1, 3, 4, 6))
    assert resized.dtype == torch.int64
    assert torch.equal(resized, labels.repeat_interleave(2, 1).repeat_interleave(3, 2))
