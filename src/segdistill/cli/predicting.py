"""The verb that uses a network: predict."""

import re
from pathlib import Path
from typing import Annotated

import typer

from segdistill.cli.bars import progress_bar, show_speed
from segdistill.cli.console import err, escape, say
from segdistill.cli.options import TrainedStudent
from segdistill.util import ArgumentError, shorten


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder or a student.safetensors.")],
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="IMAGES...", help="Images, videos, folders, quoted glob patterns.", show_default=False),
    ] = None,
    student: TrainedStudent = None,
    folder: Annotated[
        Path, typer.Option("--out", help="Folder of the outputs; for one image also the .png file of its mask.")
    ] = Path("predictions"),
    listed: Annotated[Path | None, typer.Option("--list", help="A text file with images, a path a line.")] = None,
    window: Annotated[
        str | None, typer.Option(metavar="HxW", help="Sliding window, e.g. 1024x1024: large images in little memory.")
    ] = None,
    scales: Annotated[str, typer.Option(help="Image scales to average over, by commas, e.g. 0.75,1,1.25.")] = "1",
    flip: Annotated[bool, typer.Option("--flip", help="Also average over the mirrored image.")] = False,
    batch_size: Annotated[int, typer.Option(help="Images of one size computed together.")] = 1,
    overlays: Annotated[bool, typer.Option("--overlays/--no-overlays", help="Write overlays.")] = True,
    confidence: Annotated[bool, typer.Option("--confidence", help="Write the largest probability, as PNG.")] = False,
    probabilities: Annotated[
        str | None, typer.Option(metavar="npz|png", help="Write every class's probability: npz, or a PNG a class.")
    ] = None,
    max_pixels: Annotated[
        int | None, typer.Option(help="Largest image that is read. [default: Pillow's limit, 178956970]")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto: cuda if there is one.")] = "auto",
) -> None:
    """Write a class mask and an overlay for every image; exit code 1 if some could not be done."""
    chosen = size_of("--window", window), _scales(scales)  # before torch is loaded
    from segdistill.prediction import predict as write_masks

    with progress_bar() as bar:
        done = write_masks(
            run, sources or [], student=student, out=folder, list_file=listed, window=chosen[0], scales=chosen[1],
            flip=flip, batch_size=batch_size, overlays=overlays, confidence=confidence, probabilities=probabilities,
            max_pixels=max_pixels, device=device, advance=show_speed(bar, "predicting"),
        )  # fmt: skip
    if done.skipped:
        say(f"skipped, no images: {shorten(done.skipped)}")
    file = done.masks[0] if len(done.masks) == 1 and done.masks[0] == folder else None
    what = f"{_counted(done.masks)}, masks{' and overlays' if overlays else ''} in {folder}"
    say(f"mask: {file}" if file is not None else what)
    if done.failed:
        total = len(done.failed) + len(done.masks)
        err.print(f"[bold red]{len(done.failed)} of {total} could not be done:[/]", highlight=False)
        for path, reason in done.failed:
            err.print(escape(f"  {path}: {reason}"), highlight=False, soft_wrap=True)
        raise typer.Exit(1)


def _counted(masks: list[Path]) -> str:
    """How many images and videos have masks; those of a video fill a folder."""
    videos = sum(mask.is_dir() for mask in masks)
    counts = {"image": len(masks) - videos, "video": videos}
    said = [f"{count} {word}{'' if count == 1 else 's'}" for word, count in counts.items() if count]
    return " and ".join(said) or "0 images"


def size_of(option: str, text: str | None) -> tuple[int, int] | None:
    """Height and width of ``HxW``.

    Raises:
        ArgumentError: If it is something else.
    """
    if text is None:
        return None
    numbers = re.fullmatch(r"(\d+)[xX](\d+)", text)
    if numbers is None:
        raise ArgumentError(f"{option} must be height x width in pixels, for example 512x1024; got {text!r}.")
    return int(numbers[1]), int(numbers[2])


def _scales(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ArgumentError(f"--scales must be numbers by commas, for example 0.75,1,1.25; got {text!r}.") from None
