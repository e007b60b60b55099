import pytest
import torch

from segdistill.ops.masked_generator.cost import folding_pays


@pytest.mark.parametrize(
    ("positions", "share", "student", "pays"),
    [
        (115, 1, 64, False),
        (116, 1, 64, True),
        (230, 4 / 9, 64, False),
        (231, 4 / 9, 64, True),
        (1152, 1, 128, False),  # equal widths save the projection alone
        (1153, 1, 128, True),
        (10**9, 1, 145, False),
        (0, 1, 1, False),
    ],
)
def test_folding_pays_where_it_saves_multiplications(positions, share, student, pays):
    assert folding_pays(positions, share, torch.empty(128, student, 1, 1)) == pays


def test_a_kernel_that_is_composed_more_often_must_save_more():
    assert folding_pays(172, 1, torch.empty(128, 64, 1, 1))
    assert not folding_pays(172, 1, torch.empty(128, 64, 1, 1), times=3 / 2)
    assert folding_pays(173, 1, torch.empty(128, 64, 1, 1), times=3 / 2)
