import logging
import multiprocessing
from collections import Counter

import pytest
import torch
from tests.data.fakes import HEIGHT, WIDTH, make_camvid, truncate, write_mask

from segdistill.data import CamVid, Images, eval_loader, train_loader
from segdistill.types import Batch
from segdistill.util import DataError

FILL = (124.0, 117.0, 104.0)


@pytest.fixture
def camvid(tmp_path):
    return CamVid(make_camvid(tmp_path, num_images=7), "train")


def stream(dataset, **options):
    settings = {"crop_size": (16, 16), "batch_size": 4, "seed": 3, "num_steps": 5, "fill": FILL, **options}
    return list(train_loader(dataset, **settings))


def same(first, second):
    return len(first) == len(second) and all(
        torch.equal(a.image, b.image) and torch.equal(a.target, b.target) for a, b in zip(first, second, strict=True)
    )


def test_batches(camvid):
    batches = stream(camvid)
    assert len(batches) == 5
    for batch in batches:
        assert isinstance(batch, Batch)
        assert type(batch.image) is type(batch.target) is torch.Tensor
        assert (batch.image.shape, batch.image.dtype) == ((4, 3, 16, 16), torch.uint8)
        assert (batch.target.shape, batch.target.dtype) == ((4, 16, 16), torch.uint8)
    assert same(batches, stream(camvid))
    assert not same(batches, stream(camvid, seed=4))


def test_workers_change_nothing_and_end(camvid):
    assert same(stream(camvid), stream(camvid, num_workers=2))
    for _ in train_loader(camvid, crop_size=(8, 8), batch_size=2, seed=0, num_steps=9, fill=FILL, num_workers=2):
        break
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("step", [1, 3, 5])
def test_a_resumed_stream_goes_on_exactly(camvid, step):
    assert same(stream(camvid)[step:], stream(camvid, start_step=step))


@pytest.mark.parametrize(("world_size", "accumulate"), [(2, 1), (1, 2), (2, 2), (4, 1)])
def test_ranks_and_micro_batches_share_the_same_images(camvid, world_size, accumulate):
    options = {"world_size": world_size, "accumulate": accumulate}
    parts = [stream(camvid, rank=rank, **options) for rank in range(world_size)]
    merged = []
    for step in range(5):
        micros = [parts[r][step * accumulate + m] for m in range(accumulate) for r in range(world_size)]
        merged.append(Batch(*(torch.cat(field) for field in zip(*micros, strict=True))))
    assert same(stream(camvid), merged)


def test_an_epoch_is_a_permutation(camvid):
    whole = stream(camvid, batch_size=7, num_steps=3, crop_size=(HEIGHT, WIDTH), scale_range=(1, 1), flip=0)
    originals = [camvid[index][0] for index in range(7)]
    orders = [
        [next(i for i, original in enumerate(originals) if torch.equal(original, image)) for image in batch.image]
        for batch in whole
    ]
    assert all(sorted(order) == list(range(7)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


def test_augmentation_differs_between_epochs_and_places(camvid):
    camvid.samples = camvid.samples[:1]
    images = torch.cat([batch.image for batch in stream(camvid)])
    assert len({tuple(image.flatten().tolist()) for image in images}) > 15


def test_the_global_generator_is_left_alone(camvid):
    before = torch.get_rng_state()
    stream(camvid)
    list(eval_loader(camvid))
    assert torch.equal(before, torch.get_rng_state())


def test_image_scale_in_training(camvid):
    (batch,) = stream(camvid, num_steps=1, crop_size=(HEIGHT, WIDTH), image_scale=0.5, scale_range=(1, 1), flip=0)
    assert (batch.target[:, : HEIGHT // 2, : WIDTH // 2] != 255).any()
    assert (batch.target[:, HEIGHT // 2 :] == 255).all()
    assert (batch.target[:, :, WIDTH // 2 :] == 255).all()


def test_faulty_samples_are_replaced_named_and_counted_once(camvid, caplog):
    truncate(camvid.samples[2][0])
    write_mask(camvid.samples[5][1], [99])
    loader = train_loader(camvid, crop_size=(16, 16), batch_size=7, seed=0, num_steps=4, fill=FILL)
    with caplog.at_level(logging.WARNING):
        batches = list(loader)
    assert [len(batch.image) for batch in batches] == [7] * 4
    assert set(loader.faults) == {str(camvid.samples[2][0]), str(camvid.samples[5][1])}
    assert "99" in loader.faults[str(camvid.samples[5][1])]
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 2
    assert Counter(path in text for path in loader.faults for text in warnings)[True] == 2
    again = stream(camvid, batch_size=7, seed=0, num_steps=4, num_workers=2)
    assert same(batches, again)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_too_many_faulty_files_stop_the_run(camvid, num_workers):
    for index in range(3):
        truncate(camvid.samples[index][0])
    with pytest.raises(DataError, match=r"too many faulty files, 3 .*check") as caught:
        stream(camvid, max_faults=2, num_workers=num_workers)
    assert all(str(camvid.samples[index][0]) in str(caught.value) for index in range(3))
    assert len(stream(camvid, max_faults=3)) == 5
    assert not multiprocessing.active_children()


def test_a_single_fault_stops_a_run_that_allows_none(camvid):
    truncate(camvid.samples[0][0])
    with pytest.raises(DataError, match="too many faulty files, 1 "):
        stream(camvid, max_faults=0)


def test_nothing_readable_stops_the_run(camvid):
    for image, _ in camvid.samples:
        truncate(image)
    with pytest.raises(DataError, match="too many faulty files, 7 "):
        stream(camvid, max_faults=100)


def test_evaluation_is_in_order_at_native_target_size(camvid):
    batches = list(eval_loader(camvid, image_scale=0.5, num_workers=1))
    assert len(batches) == len(eval_loader(camvid)) == 7
    for index, batch in enumerate(batches):
        assert batch.image.shape == (1, 3, HEIGHT // 2, WIDTH // 2)
        assert batch.target.dtype == torch.int64
        assert torch.equal(batch.target[0], camvid[index][1].long())


@pytest.mark.parametrize("world_size", [2, 3, 8])
def test_evaluation_counts_every_image_once(camvid, world_size):
    loaders = [eval_loader(camvid, rank=rank, world_size=world_size) for rank in range(world_size)]
    parts = [list(loader) for loader in loaders]
    assert [len(part) for part in parts] == [len(loader) for loader in loaders]
    assert sum(map(len, parts)) == 7
    for index in range(7):
        batch = parts[index % world_size][index // world_size]
        assert torch.equal(batch.image[0], camvid[index][0].as_subclass(torch.Tensor))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_evaluation_never_skips(camvid, num_workers):
    truncate(camvid.samples[3][0])
    with pytest.raises(DataError, match=camvid.samples[3][0].name):
        list(eval_loader(camvid, num_workers=num_workers))


def test_unlabelled_images_train(camvid):
    (batch,) = stream(Images(camvid.root / "train"), num_steps=1)
    assert (batch.target == 255).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 3, "world_size": 2}, "multiple of"),
        ({"batch_size": 0}, "multiple of"),
        ({"accumulate": 0}, "multiple of"),
        ({"start_step": 6}, "`start_step`"),
        ({"max_faults": -1}, "`max_faults`"),
        ({"rank": 1}, "`rank`"),
        ({"num_workers": -1}, "`num_workers`"),
        ({"image_scale": 0}, "`image_scale`"),
    ],
)
def test_arguments_are_checked(camvid, options, message):
    with pytest.raises(ValueError, match=message):
        stream(camvid, **options)


def test_an_empty_data_set_is_refused(camvid):
    camvid.samples = []
    with pytest.raises(ValueError, match="`dataset` must have samples"):
        eval_loader(camvid)
