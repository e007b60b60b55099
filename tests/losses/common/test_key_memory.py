import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from tests.reference.cirkd import push_by_loops

from segdistill.losses.cirkd import CIRKDLoss
from segdistill.losses.common.key_memory import NONE, KeyMemory, pixel_keys, rank_in_group, region_keys
from segdistill.types import IGNORE_INDEX

torch.set_num_threads(1)


def test_starts_full_of_random_directions():
    torch.manual_seed(0)
    keys = KeyMemory(3, 50, 4).keys
    torch.testing.assert_close(keys.norm(dim=-1), torch.ones(3, 50))
    assert keys.mean((0, 1)).abs().max() < 0.2


@pytest.mark.parametrize("count", [0, 1, 4, 30])  # 30: more than a queue holds
def test_is_a_queue_for_each_class(count):
    torch.manual_seed(0)
    memory = KeyMemory(3, 5, 2)
    expected, slots = memory.keys.clone(), [0, 0, 0]
    for _ in range(4):
        keys, classes = torch.randn(count, 2), torch.tensor([0, 2])[torch.randint(0, 2, (count,))]
        places = torch.randperm(count + 4)[:count].sort().values  # empty ones between them
        table, names = torch.full((count + 4, 2), torch.nan), torch.full((count + 4,), NONE)
        table[places], names[places] = keys, classes
        memory.push(table, names)
        push_by_loops(expected, slots, keys, classes.tolist())
        assert memory.keys.equal(expected)
        assert memory.next_slot.tolist() == slots


@pytest.mark.parametrize(("count", "drawn"), [(1, 1), (5, 2), (12, 5), (999, 7)])
def test_draws_the_same_slots_of_every_class_none_twice(count, drawn):
    memory = KeyMemory(3, 7, 1)
    memory.keys.copy_(torch.arange(7.0)[:, None] + 10 * torch.arange(3.0)[:, None, None])
    sample = memory.sample(count).reshape(3, drawn)
    assert sample[0].sub(sample[1] - 10).abs().max() == sample[0].sub(sample[2] - 20).abs().max() == 0
    assert len(sample[0].unique()) == drawn
    seen = {slot for _ in range(50) for slot in memory.sample(1).tolist()[0]}
    assert len(seen) > 1


def test_rank_counts_those_before():
    group = torch.randint(0, 4, (50,))
    expected = [group[:i].tolist().count(value) for i, value in enumerate(group.tolist())]
    assert rank_in_group(group).tolist() == expected
    assert rank_in_group(group[:0]).tolist() == []


def image_and_labels():
    """Features that say where they are: (image, place)."""
    torch.manual_seed(0)
    labels = torch.tensor([0, 2, 2, 2, IGNORE_INDEX])[torch.randint(0, 5, (2, 60))]
    places = torch.cartesian_prod(torch.arange(2), torch.arange(60)).reshape(2, 60, 2)
    return places, labels


def filled(keys, classes):
    return keys[classes != NONE], classes[classes != NONE]


def choose(places, labels, **options):
    return filled(*pixel_keys(places, labels, labels != IGNORE_INDEX, 3, **({"most": 15, "paper": False} | options)))


def test_the_table_has_one_size_whatever_the_labels():
    places, labels = image_and_labels()
    for given in (labels, torch.full_like(labels, IGNORE_INDEX), torch.zeros_like(labels)):
        keys, classes = pixel_keys(places, given, given != IGNORE_INDEX, 3, most=15, paper=False)
        assert (len(keys), len(classes)) == (2 * 3 * 15, 2 * 3 * 15)
        keys, classes = region_keys(places.float(), given, 3)
        assert (len(keys), len(classes)) == (2 * 3, 2 * 3)


def test_chooses_pixels_of_the_class_at_most_so_many_and_other_ones_each_time():
    places, labels = image_and_labels()
    keys, classes = choose(places, labels)
    assert labels[keys[:, 0], keys[:, 1]].tolist() == classes.tolist()
    assert len(keys.unique(dim=0)) == len(keys)
    for image in range(2):
        for label in (0, 1, 2):
            wanted = min(15, int((labels[image] == label).sum()))
            assert int((classes[keys[:, 0] == image] == label).sum()) == wanted
    assert int((labels == 0).sum()) < 30 < int((labels == 2).sum())
    assert {tuple(key) for key in keys.tolist()} != {tuple(key) for key in choose(places, labels)[0].tolist()}
    assert len(choose(places, labels, most=99)[0]) == int((labels != IGNORE_INDEX).sum())


def test_the_published_choice_takes_the_nth_pixel_of_the_image_for_the_nth_of_the_class():
    places, labels = image_and_labels()
    keys, classes = choose(places, labels, most=99, paper=True)
    for image in range(2):
        for label in (0, 2):
            found = keys[(keys[:, 0] == image) & (classes == label), 1]
            assert found.sort().values.tolist() == list(range(int((labels[image] == label).sum())))


def test_regions_are_directions_of_class_means_image_by_image():
    torch.manual_seed(0)
    pixels, labels = torch.randn(2, 6, 3), torch.tensor([[0, 0, 2, 2, 2, IGNORE_INDEX], [2] * 6])
    keys, classes = filled(*region_keys(pixels, labels, 4))
    means = torch.stack([pixels[0, :2].mean(0), pixels[0, 2:5].mean(0), pixels[1].mean(0)])
    assert classes.tolist() == [0, 2, 2]
    torch.testing.assert_close(keys, means / means.norm(dim=1, keepdim=True))
    _, classes = region_keys(pixels, torch.full_like(labels, IGNORE_INDEX), 4)
    assert (classes == NONE).all()


COUNTS = (5, 2)


def keys_of(rank):
    generator = torch.Generator().manual_seed(rank)
    classes = torch.arange(5) % 3
    classes[COUNTS[rank] :] = NONE
    return torch.randn(5, 4, generator=generator), classes


def work(rank, folder):
    """One of two processes: push unequal numbers of keys, then train on a batch that has no label in one."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=(folder / "meet").as_uri(), rank=rank, world_size=2)
    torch.manual_seed(0)
    memory = KeyMemory(3, 4, 4)
    loss = CIRKDLoss(2, 4, num_classes=3, memory=True, pixel_memory=9, region_memory=9)
    memory.push(*keys_of(rank))
    torch.manual_seed(rank)
    labels = torch.full((1, 3, 3), IGNORE_INDEX if rank else 2)
    values = loss(torch.randn(1, 2, 3, 3), torch.randn(1, 4, 3, 3), labels)
    sum(values).backward()
    with pytest.raises(ValueError, match=r"push as many keys; got 3 to 4\. Give all processes batches of one size\."):
        KeyMemory(3, 4, 4).push(torch.zeros(3 + rank, 4), torch.zeros(3 + rank).long())
    torch.save({"memory": memory.state_dict(), "pixels": loss.pixels.state_dict()}, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available(), reason="this build of PyTorch has no process groups")
def test_all_processes_remember_the_same(tmp_path):
    mp.spawn(work, args=(tmp_path,), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    torch.manual_seed(0)
    alone = KeyMemory(3, 4, 4)
    alone.push(*(torch.cat(both) for both in zip(keys_of(0), keys_of(1), strict=True)))
    for key, value in alone.state_dict().items():
        assert first["memory"][key].equal(value)
        assert second["memory"][key].equal(value)
    assert first["pixels"]["keys"].equal(second["pixels"]["keys"])
    assert first["pixels"]["next_slot"].tolist() == [0, 0, 0]  # nine pixels of class 2 into nine slots
