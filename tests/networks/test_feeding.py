import pytest
import torch

from segdistill.networks.feeding import Feed, cut_logits, cut_map, resize_logits
from segdistill.types import AS_IT_IS, Preprocessing


def test_mean_then_std_in_the_networks_channel_order():
    image = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1)
    rgb = Feed(Preprocessing((0.1, 0.2, 0.3), (0.5, 0.25, 0.1)))(image)
    assert torch.allclose(rgb.flatten(), torch.tensor([0.2, 0.8, 3.0]))
    bgr = Feed(Preprocessing((0.1, 0.2, 0.3), (1.0, 1.0, 1.0), bgr=True))(image)
    assert torch.allclose(bgr.flatten(), torch.tensor([0.5, 0.2, -0.1]))
    assert Feed(AS_IT_IS)(image) is image


def test_the_dtype_of_the_image_is_kept():
    assert Feed(Preprocessing())(torch.rand(1, 3, 4, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize(("size", "fed"), [((32, 64), (32, 64)), ((33, 64), (64, 64)), ((5, 70), (32, 96))])
def test_sides_become_multiples_by_padding_at_the_right_and_bottom(size, fed):
    image = torch.rand(2, 3, *size)
    padded = Feed(AS_IT_IS._replace(multiple=32))(image)
    assert padded.shape[-2:] == fed
    assert torch.equal(padded[..., : size[0], : size[1]], image)
    assert padded.sum() == pytest.approx(image.sum())


def test_what_is_padded_is_cut_from_logits_and_maps():
    logits = torch.arange(16.0).view(1, 1, 4, 4)
    assert torch.equal(cut_logits(logits, (32, 32), (20, 32)), resize_logits(logits, (32, 32))[..., :20, :])
    assert torch.equal(cut_map(logits, (32, 32), (20, 32)), logits[..., :3, :])  # the third row sees pixels 16 to 23
    assert torch.equal(cut_map(logits, (32, 32), (1, 8)), logits[..., :1, :1])


def test_resize_logits_keeps_corners():
    logits = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    big = resize_logits(logits, (5, 5))
    assert [big[0, 0, y, x].item() for y, x in ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))] == [0, 1, 2, 3, 1.5]
    assert resize_logits(logits, (2, 2)) is logits
