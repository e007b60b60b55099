"""`segdistill predict`, as a shell calls it."""

import numpy as np
import pytest
from tests.data.fakes import write_image


@pytest.fixture
def folder(tmp_path, save_network, monkeypatch):
    (tmp_path / "student.safetensors").write_bytes(save_network().read_bytes())
    for seed, name in enumerate("abc"):
        write_image(tmp_path / f"in/{name}.png", seed=seed)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_several_images_and_every_option(ok, folder):
    (folder / "list.txt").write_text("in/c.png\n")
    (folder / "notes.txt").write_text("mine")
    printed = ok(
        "predict", "student.safetensors", "in/a.png", "in/b.png", "notes.txt", "--list", "list.txt", "--out", "out",
        "--window", "16x24", "--scales", "0.75,1", "--flip", "--batch-size", 2, "--no-overlays", "--confidence",
        "--probabilities", "npz", "--max-pixels", 100000,
    )  # fmt: skip
    assert printed == "skipped, no images: notes.txt\n3 images, masks in out\n"
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "classes.txt", "confidence", "masks", "predictions.json", "probabilities",
    ]  # fmt: skip
    assert sorted(path.name for path in (folder / "out/masks").iterdir()) == ["a.png", "b.png", "c.png"]


def test_a_bad_file_is_listed_at_the_end_and_the_exit_code_is_1(segdistill_, folder):
    (folder / "in/b.png").write_bytes((folder / "in/b.png").read_bytes()[:300])
    code, out, err = segdistill_("predict", "student.safetensors", "in", "--out", "out")
    assert code == 1
    assert out == "2 images, masks and overlays in out\n"
    assert "1 of 3 could not be done:\n  in/b.png: cannot be decoded as image (" in err
    assert "img/s" in err


def test_a_single_mask_in_a_file(ok, folder):
    assert ok("predict", "student.safetensors", "in/a.png", "--out", "mask.png") == "mask: mask.png\n"
    assert (folder / "mask.png").is_file()


def test_a_real_video_gives_a_mask_a_frame_and_a_video_of_overlays(ok, folder):
    av = pytest.importorskip("av")
    with av.open("clip.mp4", "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for grey in range(0, 250, 50):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), grey, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert ok("predict", "student.safetensors", "clip.mp4", "in/a.png", "--out", "out") == (
        "1 image and 1 video, masks and overlays in out\n"
    )
    assert [path.name for path in sorted((folder / "out/masks/clip").iterdir())] == [f"00000{n}.png" for n in range(5)]
    with av.open("out/overlays/clip.mp4") as container:
        frames = [frame.to_ndarray(format="rgb24").shape for frame in container.decode(video=0)]
    assert frames == [(48, 64, 3)] * 5
