"""A memory of the teacher's features, one queue a class, and what is put into it."""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from segdistill.losses.ifvd import membership
from segdistill.ops import unit


class KeyMemory(nn.Module):
    """Queues of unit vectors, one a class; the newest overwrite the oldest.

    Full from the start, of random directions drawn from the global generator. Buffers only: they are saved,
    moved and resumed with the module, K * size * channels numbers.

    Args:
        num_classes: K.
        size: Keys a class.
        channels: Length of a key.
    """

    keys: Tensor
    next_slot: Tensor

    def __init__(self, num_classes: int, size: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("keys", unit(torch.randn(num_classes, size, channels)))
        self.register_buffer("next_slot", torch.zeros(num_classes, dtype=torch.int64))

    def sample(self, count: int) -> Tensor:
        """Draw about ``count`` keys, the same slots of every class and ``count // K + 1`` of each, (n, channels)."""
        num_classes, size, _ = self.keys.shape
        slots = torch.randperm(size, device=self.keys.device)[: count // num_classes + 1]
        return self.keys[:, slots].flatten(0, 1)

    @torch.no_grad()
    def push(self, keys: Tensor, classes: Tensor) -> None:
        """Store keys (n, channels) of classes (n,), in order, from all processes in the order of their ranks."""
        keys, classes = gather_keys(keys.to(self.keys.dtype), classes)
        num_classes, size, _ = self.keys.shape
        rank, count = rank_in_group(classes), classes.bincount(minlength=num_classes)
        newest = count[classes] - rank <= size  # no slot is written twice
        slot = (self.next_slot[classes] + rank) % size
        self.keys[classes[newest], slot[newest]] = keys[newest]
        self.next_slot.add_(count).remainder_(size)


def rank_in_group(group: Tensor) -> Tensor:
    """How many members of its group stand before each entry of (n,).

    >>> rank_in_group(torch.tensor([7, 2, 7, 7, 2]))
    tensor([0, 0, 1, 2, 1])
    """
    order = group.argsort(stable=True)
    ranked = group[order]
    rank = torch.arange(len(group), device=group.device) - torch.searchsorted(ranked, ranked)
    return torch.empty_like(group).scatter_(0, order, rank)


def pixel_keys(
    pixels: Tensor, labels: Tensor, labelled: Tensor, num_classes: int, *, most: int, paper: bool
) -> tuple[Tensor, Tensor]:
    """Choose random pixels, at most ``most`` of each class and image.

    Args:
        pixels: (B, N, C).
        labels: (B, N).
        labelled: (B, N), false where a pixel has no class.
        num_classes: K.
        most: Pixels to choose.
        paper: Instead of the n-th pixel of a class take the n-th pixel of the image, as the published code does.

    Returns:
        Keys (n, C) and classes (n,).
    """
    image, place = labelled.nonzero(as_tuple=True)
    group = image * num_classes + labels[image, place]
    shuffled = torch.randperm(len(group), device=group.device)
    chosen = shuffled[rank_in_group(group[shuffled]) < most]
    if paper:
        place = rank_in_group(group)
    return pixels[image[chosen], place[chosen]], group[chosen] % num_classes


def region_keys(pixels: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """The direction of the mean of each class in each image that has it: keys (n, C) and classes (n,)."""
    member = membership(labels, num_classes, pixels.dtype)
    image, classes = member.any(1).nonzero(as_tuple=True)
    return unit(member.mT @ pixels)[image, classes], classes


def gather_keys(keys: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Join the keys of all processes, however many each has; every process gets the same."""
    if not (dist.is_available() and dist.is_initialized()):
        return keys, classes
    most = torch.tensor(len(keys), device=keys.device)
    dist.all_reduce(most, dist.ReduceOp.MAX)
    missing = int(most) - len(keys)
    keys, classes = _all(F.pad(keys, (0, 0, 0, missing))), _all(F.pad(classes, (0, missing), value=-1))
    return keys[classes >= 0], classes[classes >= 0]


def _all(x: Tensor) -> Tensor:
    parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, x.contiguous())
    return torch.cat(parts)
