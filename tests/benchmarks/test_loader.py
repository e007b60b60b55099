import json
import sys

import pytest
import torch

from benchmarks import loader

STAGES = {"decode image", "decode mask", "map labels", "scale and crop", "collate", "all"}


@pytest.fixture
def measured(tmp_path, monkeypatch, capsys):
    file, threads = tmp_path / "numbers/loader.json", torch.get_num_threads()
    options = ["--images", "3", "--turns", "2", "--crops", "4", "--size", "64", "128", "--crop", "48", "80"]
    monkeypatch.setattr(sys, "argv", ["loader", "--out", str(file), *options, "--note", "a test"])
    loader.main()
    torch.set_num_threads(threads)
    return json.loads(file.read_text()), capsys.readouterr().out


def test_the_record_says_what_was_measured_where(measured):
    record, printed = measured
    assert record["benchmark"] == "loader"
    assert record["note"] == "a test"
    assert record["threads"] == 1
    assert {"commit", "python", "torch", "torchvision", "pillow", "numpy", "device"} <= record.keys()
    assert all(rate > 0 for rate in record["crops_per_s_from_one_worker"].values())
    assert (record["image_size"], record["crop_size"]) == ([64, 128], [48, 80])
    assert (record["images"], record["turns"], record["crops_a_turn"]) == (3, 2, 4)
    assert record["png_bytes"]["image"] > record["png_bytes"]["mask"] > 0
    assert [line.split()[0] for line in printed.splitlines()] == ["whole", "window", "cached", "from"]


def test_every_way_has_its_stages_and_they_add_up(measured):
    ways = measured[0]["ways"]
    assert set(ways["whole"]["ms_a_crop"]) == set(ways["window"]["ms_a_crop"]) == STAGES
    assert set(ways["cached"]["ms_a_crop"]) == {"map files", "scale and crop", "collate", "all"}
    for way in ways.values():
        stages = way["ms_a_crop"]
        assert all(0 <= ms["q25"] <= ms["median"] <= ms["q75"] for ms in stages.values())
        assert way["crops_per_s"] == pytest.approx(1000 / stages["all"]["median"], rel=0.01)


def test_ways_that_differ_are_not_measured(monkeypatch):
    monkeypatch.setattr(loader, "augment_whole", lambda transform, image, mask, generator: (image, mask))
    with pytest.raises(AssertionError, match="window"):
        loader.run(images=1, turns=1, crops=4, size=(64, 128), crop=(48, 80))
