"""A memory of the teacher's features, one queue a class, and what is put into it.

How many keys a batch has depends on its labels, which a GPU knows and the host does not. So keys come in a table of a
fixed size, whose empty places have the class ``NONE``, and the host never waits to learn a number.
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn

from segdistill.losses.ifvd import membership
from segdistill.ops import unit
from segdistill.util import ArgumentError

NONE = -1  # class of an empty place


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
        self._processes_agree = False

    def sample(self, count: int) -> Tensor:
        """Draw about ``count`` keys, the same slots of every class and ``count // K + 1`` of each, (n, channels)."""
        num_classes, size, _ = self.keys.shape
        slots = torch.randperm(size, device=self.keys.device)[: count // num_classes + 1]
        return self.keys[:, slots].flatten(0, 1)

    @torch.no_grad()
    def push(self, keys: Tensor, classes: Tensor) -> None:
        """Store keys (n, channels) of classes (n,), in order, from all processes in the order of their ranks.

        Keys of class ``NONE`` are left out. Every process gives as many, which is asked at the first call.

        Raises:
            ValueError: If processes give different numbers of keys, which they do if their batches differ in size.
        """
        if dist.is_available() and dist.is_initialized():
            if not self._processes_agree:
                check_alike(keys)
                self._processes_agree = True
            keys, classes = _all(keys), _all(classes)
        if not len(keys):
            return
        num_classes, size, channels = self.keys.shape
        keys, queue = keys.to(self.keys.dtype), classes.clamp_min(0)
        rank = rank_in_group(classes)
        count = (classes[:, None] == torch.arange(num_classes, device=classes.device)).sum(0)
        stored = (classes != NONE) & (count[queue] - rank <= size)  # the newest: no slot is written twice
        place = queue * size + (self.next_slot[queue] + rank) % size
        # What is not stored repeats what is, or, where nothing is, what is there: so all write, and all the same.
        one = stored.int().argmax(keepdim=True)
        slots = self.keys.view(-1, channels)
        repeated = torch.where(stored[one][:, None], keys[one], slots[place[one]])
        slots.index_copy_(0, torch.where(stored, place, place[one]), torch.where(stored[:, None], keys, repeated))
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
        Keys (B * K * most, C) and classes (B * K * most,), image by image; ``NONE`` where an image has fewer.
    """
    images, positions = labels.shape
    number = torch.arange(images, device=labels.device)[:, None]
    group = torch.where(labelled, number * num_classes + labels, images * num_classes).flatten()
    shuffled = torch.randperm(len(group), device=group.device)
    rank, drawn = rank_in_group(group[shuffled]), group[shuffled]
    room = images * num_classes * most
    # What is not wanted shares one more place at the end, which is cut off.
    place = torch.where((rank < most) & (drawn < images * num_classes), drawn * most + rank, room)
    chosen = place.new_full((room + 1,), NONE).scatter_(0, place, shuffled)[:-1]
    pixel = chosen.clamp_min(0)
    position = rank_in_group(group)[pixel] if paper else pixel % positions
    classes = torch.where(chosen == NONE, NONE, group[pixel] % num_classes)
    return pixels[pixel // positions, position], classes


def region_keys(pixels: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """The direction of the mean of each class in each image: keys (B * K, C), classes (B * K,), ``NONE`` if absent."""
    member = membership(labels, num_classes, pixels.dtype)
    classes = torch.arange(num_classes, device=labels.device)
    found = torch.where(member.any(1), classes, NONE)
    return unit(member.mT @ pixels).flatten(0, 1), found.flatten()


def check_alike(keys: Tensor) -> None:
    """Refuse numbers of keys that differ between processes; the host waits for the answer.

    Raises:
        ValueError: If they differ.
    """
    ends = torch.tensor([len(keys), -len(keys)], device=keys.device)
    dist.all_reduce(ends, dist.ReduceOp.MAX)
    most, least = ends[0].item(), -ends[1].item()
    if most != least:
        raise ArgumentError(
            f"Every process must push as many keys; got {least} to {most}. Give all processes batches of one size."
        )


def _all(x: Tensor) -> Tensor:
    parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, x.contiguous())
    return torch.cat(parts)
