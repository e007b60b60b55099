import json
import os
import shutil
import sys
from collections import namedtuple

import pytest
from tests.data.fakes import HEIGHT, WIDTH, make_camvid, truncate

from segdistill.data import CamVid, Prepared, Source, prepare, scan
from segdistill.data.cache.read import INDEX
from segdistill.util import DataError, lock


def sources(root, *splits):
    return [Source("camvid", {}, CamVid(root, split)) for split in splits]


@pytest.fixture
def root(tmp_path):
    return make_camvid(tmp_path / "data", num_images=5)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def stored(cache, split="train"):
    return {path.name: path.stat().st_mtime_ns for path in (cache / f"camvid-{split}").glob("*.npy")}


def test_every_split_is_written_announced_and_counted(root, cache):
    announced, counts = [], []
    assert not prepare(
        sources(root, "train", "val"), cache, num_workers=2,
        announce=lambda *room: announced.append(room), progress=lambda *count: counts.append(count),
    )  # fmt: skip
    assert counts == [*(("camvid-train", k, 5) for k in range(1, 6)), ("camvid-val", 1, 2), ("camvid-val", 2, 2)]
    ((needed, free),) = announced
    on_disk = sum(path.stat().st_blocks * 512 for path in cache.rglob("*.npy"))
    assert 7 * 4 * HEIGHT * WIDTH < on_disk <= needed < free
    assert sorted(stored(cache, "val")) == [f"00000{i}.{kind}.npy" for i in range(2) for kind in ("image", "mask")]


def test_nothing_is_written_twice(root, cache):
    prepare(sources(root, "train"), cache)
    before, announced = stored(cache), []
    prepare(sources(root, "train"), cache, announce=lambda *room: announced.append(room))
    assert stored(cache) == before
    assert announced[0][0] == 0


def test_a_stopped_one_goes_on_and_is_not_used_before(root, cache):
    (source,) = sources(root, "train")
    load = source.dataset.load

    def load_until_killed(index):
        if index == 2:
            raise KeyboardInterrupt
        return load(index)

    source.dataset.load = load_until_killed
    with pytest.raises(KeyboardInterrupt):
        prepare([source], cache)
    (source,) = sources(root, "train")
    with pytest.raises(DataError, match="is not finished"):
        Prepared(source, cache)
    before, counts = stored(cache), []
    assert {"000000.image.npy", "000001.mask.npy"} <= before.keys()
    assert "000002.image.npy" not in before
    prepare([source], cache, progress=lambda *count: counts.append(count))
    assert counts[-1][2] == 5 - len(before) // 2
    assert before.items() <= stored(cache).items()
    assert len(Prepared(source, cache)) == 5


def test_a_sample_without_its_mask_is_written_again(root, cache):
    prepare(sources(root, "train"), cache)
    (cache / "camvid-train/000001.mask.npy").unlink()
    counts = []
    prepare(sources(root, "train"), cache, progress=lambda *count: counts.append(count))
    assert counts == [("camvid-train", 1, 1)]
    Prepared(sources(root, "train")[0], cache).load(1)


def test_a_changed_file_is_read_again_and_the_others_stay(root, cache):
    (source,) = sources(root, "train")
    prepare([source], cache)
    before = stored(cache)
    shutil.copy(source.dataset.path(0), source.dataset.path(2))
    (source,) = sources(root, "train")
    prepare([source], cache)
    after = stored(cache)
    assert {name for name in before if before[name] != after[name]} == {"000002.image.npy", "000002.mask.npy"}
    image = Prepared(source, cache).load(2)[0]
    assert (image == source.dataset.load(0)[0]).all()


def test_samples_that_moved_are_read_again_and_the_last_removed(root, cache):
    (source,) = sources(root, "train")
    prepare([source], cache)
    for path in source.dataset.samples[0]:
        path.unlink()
    (source,) = sources(root, "train")
    prepare([source], cache)
    assert len(stored(cache)) == 8
    prepared = Prepared(source, cache)
    for index in range(4):
        assert (prepared.load(index)[0] == source.dataset.load(index)[0]).all()


def test_what_is_stale_goes_before_the_index_vouches_for_it(root, cache, monkeypatch):
    (source,) = sources(root, "train")
    prepare([source], cache)
    shutil.copy(source.dataset.path(0), source.dataset.path(2))

    def write(path, content):
        assert not (cache / "camvid-train/000002.image.npy").exists()
        raise OSError("the power fails")

    monkeypatch.setattr(sys.modules["segdistill.data.cache.write"], "write_atomic", write)
    with pytest.raises(OSError, match="power"):
        prepare(sources(root, "train"), cache)


def test_faults_are_those_of_a_scan_and_are_tried_again(root, cache):
    (source,) = sources(root, "train")
    path = source.dataset.path(4)
    whole, times = path.read_bytes(), path.stat().st_mtime_ns
    truncate(path)
    faults = prepare([source], cache)
    assert faults == scan(source.dataset).faults
    assert len(faults) == 1
    assert len(stored(cache)) == 8
    assert json.loads((cache / "camvid-train" / INDEX).read_text())["faulty"] == [4]
    path.write_bytes(whole)
    os.utime(path, ns=(times, times))
    (source,) = sources(root, "train")
    assert prepare([source], cache) == []
    Prepared(source, cache).load(4)


def test_a_full_disk_is_refused_before_anything_is_written(root, cache, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(DataError, match=r"must have 0\.0 GB free .* it has 0\.0 GB"):
        prepare(sources(root, "train"), cache)
    assert not (cache / "camvid-train").exists()


def test_one_process_at_a_time(root, cache):
    with lock(cache, wait=False), pytest.raises(DataError, match="by another process"):
        prepare(sources(root, "train"), cache)


def test_a_folder_of_something_else_is_left_alone(root, cache):
    precious = cache / "camvid-train/000000.image.npy"
    precious.parent.mkdir(parents=True)
    precious.write_text("mine")
    with pytest.raises(DataError, match="no index of prepared data"):
        prepare(sources(root, "train"), cache)
    assert precious.read_text() == "mine"
