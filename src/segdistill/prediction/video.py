"""Videos: every frame is an image, the overlay is a video. Needs PyAV."""

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from segdistill.engine import Protocol
from segdistill.prediction.outputs import Outputs, maps_of
from segdistill.prediction.predictor import Predictor
from segdistill.util import ArgumentError, UnavailableError

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm")


def is_video(path: Path) -> bool:
    """By its name."""
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith("._")


class Clip(NamedTuple):
    """A video that is open.

    Attributes:
        rate: Frames a second, on average.
        length: Frames as its header says; 0 if that does not.
        frames: (3, H, W), bytes, as they are decoded.
    """

    rate: Fraction
    length: int
    frames: Iterator[Tensor]


def predict_video(
    predictor: Predictor,
    video: Path,
    place: Path,
    outputs: Outputs,
    protocol: Protocol,
    batch_size: int = 1,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write ``masks/<place>/000000.png`` and so on, and the video ``overlays/<place>.mp4``.

    Args:
        predictor: Knows names and colours.
        video: The file.
        place: Relative path without suffix.
        outputs: Where and what.
        protocol: Scales, flip and window.
        batch_size: Frames that are computed together.
        advance: Called with the number of frames done and of all.

    Returns:
        The folder of masks.

    Raises:
        UnavailableError: If PyAV is not installed.
        ArgumentError: If the output is a file, or the network takes other channels than a video has.
    """
    if outputs.is_file:
        raise ArgumentError("needs a folder as --out: a video has a mask for each frame.")
    if predictor.channels != 3:
        raise ArgumentError(f"must be of {predictor.channels} channels for this network; a video has red, green, blue.")
    clip = open_video(video)
    single = outputs._replace(overlays=False)
    overlay: VideoWriter | None = None
    done = 0
    try:
        while frames := list(itertools.islice(clip.frames, batch_size)):
            for pixels, maps in zip(frames, maps_of(predictor, frames, protocol, single), strict=True):
                single.write(place / f"{done:06d}", predictor, pixels, maps)
                if outputs.overlays:
                    overlay = overlay or VideoWriter(outputs.file("overlays", place, ".mp4"), clip.rate)
                    overlay.write(predictor.overlay(pixels, maps.mask))
                done += 1
            advance(done, max(done, clip.length))
    finally:
        if overlay is not None:
            overlay.close()
    return outputs.out / "masks" / place


def open_video(path: Path) -> Clip:
    """The first video stream of a file."""
    container = _av().open(str(path))
    stream = container.streams.video[0]

    def frames() -> Iterator[Tensor]:
        with container:
            for frame in container.decode(stream):
                yield torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)

    return Clip(Fraction(stream.average_rate or 25), stream.frames, frames())


class VideoWriter:
    """An MP4 file, frame by frame; H.264 where PyAV has it, else MPEG-4."""

    def __init__(self, file: Path, rate: Fraction) -> None:
        self.av = _av()
        self.container: Any = self.av.open(str(file), "w")
        self.rate = rate
        self.stream: Any = None

    def write(self, picture: Image.Image) -> None:
        """Add a frame; an odd last row or column is cut off, since the format has none."""
        pixels = np.asarray(picture)
        pixels = np.ascontiguousarray(pixels[: len(pixels) // 2 * 2, : pixels.shape[1] // 2 * 2])
        if self.stream is None:
            codec = "libx264" if "libx264" in self.av.codecs_available else "mpeg4"
            self.stream = self.container.add_stream(codec, rate=self.rate)
            self.stream.height, self.stream.width = pixels.shape[:2]
            self.stream.pix_fmt = "yuv420p"
        self.container.mux(self.stream.encode(self.av.VideoFrame.from_ndarray(pixels, format="rgb24")))

    def close(self) -> None:
        """Write what the encoder still holds."""
        if self.stream is not None:
            self.container.mux(self.stream.encode())
        self.container.close()


def _av() -> ModuleType:
    try:
        import av
    except ImportError:
        raise UnavailableError(
            "is a video and needs PyAV, which is not installed: pip install segdistill[video]."
        ) from None
    module: ModuleType = av
    return module
