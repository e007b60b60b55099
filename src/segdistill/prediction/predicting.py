"""The verb: masks and overlays of many images."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from segdistill.data import size_of
from segdistill.prediction.georeference import georeference
from segdistill.prediction.load import load_predictor
from segdistill.prediction.options import chosen_device, chosen_protocol, positive
from segdistill.prediction.outputs import PROBABILITIES, Outputs, maps_of
from segdistill.prediction.pixels import pixels_of
from segdistill.prediction.predictor import Predictor
from segdistill.prediction.sources import find_images, read_list
from segdistill.prediction.video import is_video, predict_video
from segdistill.util import ArgumentError, DataError, SegdistillError, as_path, verb

Read = tuple[int, Tensor]
"""Number and pixels of an image."""


class Predicted(NamedTuple):
    """What was done.

    Attributes:
        folder: Where the outputs lie.
        images: Those that have a mask, in order.
        masks: The mask's file of each; of a video, the folder of its masks.
        failed: What could not be done, with the reason.
        skipped: Files that were named and are no images.
    """

    folder: Path
    images: list[Path]
    masks: list[Path]
    failed: list[tuple[Path, str]]
    skipped: list[Path]

    def frame(self) -> list[dict[str, Any]]:
        """A row an image: ``image``, ``mask``, the path of its file, and ``reason``, why there is none."""
        done = zip(self.images, self.masks, strict=True)
        return [
            *({"image": str(image), "mask": str(mask), "reason": None} for image, mask in done),
            *({"image": str(image), "mask": None, "reason": reason} for image, reason in self.failed),
        ]


@verb
def predict(
    run: str | Path | Predictor,
    source: str | Path | Sequence[str | Path] = (),
    *,
    student: nn.Module | str | None = None,
    out: str | Path = "predictions",
    list_file: str | Path | None = None,
    window: tuple[int, int] | None = None,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    batch_size: int = 1,
    overlays: bool = True,
    confidence: bool = False,
    probabilities: str | None = None,
    max_pixels: int | None = None,
    device: str = "auto",
    advance: Callable[[int, int], None] | None = None,
) -> Predicted:
    """Write a class mask and an overlay for every image. What fails is left out and listed in what is returned.

    Args:
        run: A run folder, a ``student.safetensors``, or what `load` made of one.
        source: An image, a video, a folder of images, a glob pattern, or a list of these.
        student: As in `load`, where the network came from code of your own.
        out: Folder of the outputs, or for a single image the ``.png`` file of its mask.
        list_file: A text file with further images, a path a line.
        window: Height and width of a sliding window, overlapping by a third: very large images in little memory.
        scales: Image scales whose probabilities are averaged.
        flip: Also average over the mirrored image.
        batch_size: Images of one size that go through the network together.
        overlays: Write the images with the classes' colours laid over them.
        confidence: Write the largest probability of each pixel, 0 to 255, as PNG.
        probabilities: ``npz``: a file of float16 an image; ``png``: an 8-bit PNG a class; None: none.
        max_pixels: Images with more are not read; None for Pillow's limit of 178,956,970.
        device: ``cpu``, ``cuda``, or ``auto``: cuda if there is one.
        advance: Called with the number of images dealt with and the number of all.

    Raises:
        SegdistillError: If nothing could begin: what is wrong with the network, the device or an option.

    Example:
        ``sd.predict("runs/student", "photos/*.jpg", out="masks").masks`` is the list of files.
    """
    if probabilities not in (None, *PROBABILITIES):
        raise ArgumentError(f"`probabilities` must be npz or png; got {probabilities!r}.")
    protocol, chosen = chosen_protocol(window, scales, flip), chosen_device(device)
    positive("batch_size", batch_size)
    if max_pixels is not None:
        positive("max_pixels", max_pixels)
    outputs = Outputs(as_path("out", out), overlays, confidence, probabilities)
    sources = [source] if isinstance(source, (str, Path)) or not isinstance(source, Sequence) else source
    named = [as_path("source", item) for item in sources]
    listed = [] if list_file is None else read_list(as_path("list_file", list_file))
    predictor = (run if isinstance(run, Predictor) else load_predictor(as_path("run", run), student=student)).to(chosen)
    found = find_images([*named, *listed], but=[] if outputs.is_file else outputs.folders)
    outputs.check(found.images, predictor.names)
    outputs.begin(predictor.names)
    masks: dict[int, Path] = {}
    failed: dict[int, str] = {}
    frames = 0  # of videos, beyond the one that each counts as

    def tell(done: int = 0, total: int = 0) -> None:
        if advance is not None:
            known = len(masks) + len(failed) + frames
            advance(known + done, len(found.images) + frames + max(0, total - 1))

    def do(batch: list[Read]) -> None:
        try:
            maps = maps_of(predictor, [pixels for _, pixels in batch], protocol, outputs)
            for (number, pixels), result in zip(batch, maps, strict=True):
                tags = georeference(found.images[number])
                masks[number] = outputs.write(found.places[number], predictor, pixels, result, tags)
        except (SegdistillError, OSError, MemoryError, RuntimeError) as error:
            if len(batch) == 1:
                failed[batch[0][0]] = _reason(error)
            else:
                for one in batch:
                    do([one])
        tell()

    def do_video(number: int) -> None:
        nonlocal frames
        last = 0

        def step(done: int, total: int) -> None:
            nonlocal last
            last = done
            tell(done, total)

        path, place = found.images[number], found.places[number]
        try:
            masks[number] = predict_video(predictor, path, place, outputs, protocol, batch_size, step)
        except Exception as error:  # as above
            failed[number] = _reason(error) + (f" {last} frames are done." if last else "")
        frames += max(0, last - 1)
        tell()

    tell()
    for batch in _batches(found.images, batch_size, max_pixels, predictor.channels, failed):
        do(batch)
    for number, path in enumerate(found.images):
        if is_video(path):
            do_video(number)
    result = Predicted(
        outputs.out.parent if outputs.is_file else outputs.out,
        [found.images[number] for number in sorted(masks)],
        [masks[number] for number in sorted(masks)],
        [*found.missing, *((found.images[number], failed[number]) for number in sorted(failed))],
        found.skipped,
    )
    about = {"run": None if isinstance(run, Predictor) else str(run), "window": protocol.window,
             "scales": list(protocol.scales), "flip": protocol.flip}  # fmt: skip
    outputs.record({**about, "images": result.frame()})
    return result


def _batches(
    images: Sequence[Path], batch_size: int, max_pixels: int | None, channels: int, failed: dict[int, str]
) -> Iterator[list[Read]]:
    """Images of one size together, as many as are wanted; what cannot be read is noted."""
    order = [number for number, path in enumerate(images) if not is_video(path)]
    if batch_size > 1:
        order.sort(key=lambda number: size_of(images[number]))
    batch: list[Read] = []
    for number in order:
        try:
            pixels = pixels_of(images[number], max_pixels, channels=channels)
        except Exception as error:  # decoders of damaged files raise anything
            failed[number] = _reason(error)
            continue
        if batch and (len(batch) == batch_size or batch[0][1].shape != pixels.shape):
            yield batch
            batch = []
        batch.append((number, pixels))
    if batch:
        yield batch


def _reason(error: Exception) -> str:
    """Why an image could not be done, in a sentence."""
    if isinstance(error, DataError):
        return f"{error.problem}. {error.remedy}"
    if isinstance(error, SegdistillError):
        return str(error)
    text = (str(error).splitlines() or [""])[0]
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or "allocate memory" in text:
        return "needs more memory than there is. Give a window, for example --window 1024x1024."
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be written: {error.strerror}."
    return f"failed with {type(error).__name__}: {text.rstrip('.')}."
