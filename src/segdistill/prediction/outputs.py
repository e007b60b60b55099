"""What prediction writes: masks that are those of a data set, overlays, probabilities, confidence."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from segdistill import store
from segdistill.engine import Protocol
from segdistill.prediction.georeference import Tags, save_georeferenced
from segdistill.prediction.predictor import Predictor, as_probabilities
from segdistill.util import ArgumentError

PROBABILITIES = ("npz", "png")
RECORD = "predictions.json"
FOLDERS = ("masks", "overlays", "confidence", "probabilities", "georeferenced")
JPEG_LIMIT = 65_500


class Maps(NamedTuple):
    """What is known of an image, on the CPU.

    Attributes:
        mask: Train ids (H, W), uint8.
        confidence: The largest probability (H, W), 0 to 255.
        probabilities: (K, H, W), float16.
    """

    mask: Tensor
    confidence: Tensor | None
    probabilities: Tensor | None


class Outputs(NamedTuple):
    """Where it goes.

    Attributes:
        out: A folder, or the PNG file of a single mask.
        overlays: Write them.
        confidence: Write it.
        probabilities: ``npz``, ``png``, or None.
    """

    out: Path
    overlays: bool = True
    confidence: bool = False
    probabilities: str | None = None

    @property
    def is_file(self) -> bool:
        """Whether a single mask is asked for."""
        return bool(self.out.suffix.lower() in (".png", ".jpg", ".jpeg") and not self.out.is_dir())

    @property
    def folders(self) -> list[Path]:
        """Folders that are ours to write."""
        return [self.out / name for name in FOLDERS]

    def check(self, images: Sequence[Path], names: Sequence[str]) -> None:
        """Refuse what would lose something: several masks in one file, a file that is not ours.

        Args:
            images: What will be predicted.
            names: Of the classes.

        Raises:
            ArgumentError: Saying which.
        """
        if not self.is_file:
            ours = (self.out / RECORD).is_file()
            if not ours and any(item.is_file() for item in (self.out / "masks").rglob("*")):
                raise ArgumentError(
                    f"{self.out / 'masks'} holds files that predict did not write. Choose another --out."
                )
            classes = self.out / "classes.txt"
            if not ours and classes.exists() and classes.read_bytes() != _as_text(names).encode():
                raise ArgumentError(f"{classes} holds other classes than the network. Choose another --out.")
        elif len(images) > 1:
            raise ArgumentError(f"--out must be a folder for {len(images)} images; got the file {self.out}.")
        elif self.out.suffix.lower() != ".png":
            raise ArgumentError(f"a mask must be saved as .png, since JPEG alters ids; got {self.out}.")
        elif self.confidence or self.probabilities:
            raise ArgumentError(f"--out must be a folder for confidence or probabilities; got the file {self.out}.")
        elif self.out.exists() and self.out.samefile(images[0]):
            raise ArgumentError(f"--out must not be the image itself; got {self.out}.")

    def begin(self, names: Sequence[str]) -> None:
        """Make the folder, with the classes by id."""
        if self.is_file:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            return
        self.out.mkdir(parents=True, exist_ok=True)
        self.record({})
        (self.out / "classes.txt").write_bytes(_as_text(names).encode())

    def record(self, content: dict[str, Any]) -> None:
        """Write what was done; the file also says that the folder is ours."""
        if not self.is_file:
            store.write_json(self.out / RECORD, content)

    def write(self, place: Path, predictor: Predictor, pixels: Tensor, maps: Maps, tags: Tags | None = None) -> Path:
        """Write the files of an image; the mask comes last.

        Args:
            place: Relative path without suffix.
            predictor: Knows names and colours.
            pixels: The image.
            maps: Its results.
            tags: Those of a GeoTIFF.

        Returns:
            The mask's file.
        """
        if self.is_file:
            predictor.mask_image(maps.mask).save(self.out)
            return self.out
        if self.overlays:
            suffix = ".jpg" if max(maps.mask.shape) <= JPEG_LIMIT else ".png"
            predictor.overlay(pixels, maps.mask).save(self.file("overlays", place, suffix), quality=90)
        if maps.confidence is not None:
            Image.fromarray(maps.confidence.numpy()).save(self.file("confidence", place, ".png"))
        if maps.probabilities is not None and self.probabilities == "npz":
            _save_npz(self.file("probabilities", place, ".npz"), maps.probabilities, predictor.names)
        elif maps.probabilities is not None:
            for number, (name, values) in enumerate(zip(predictor.names, maps.probabilities, strict=True)):
                file = self.file(
                    "probabilities", place / f"{number:03d}_{re.sub(r'[^0-9A-Za-z-]+', '_', name)}", ".png"
                )
                Image.fromarray(_as_bytes(values).numpy()).save(file)
        if tags:
            file = self.file("georeferenced", place, ".tif")
            save_georeferenced(predictor.mask_image(maps.mask), file, tags)
        mask = self.file("masks", place, ".png")
        predictor.mask_image(maps.mask).save(mask)
        return mask

    def file(self, kind: str, place: Path, suffix: str) -> Path:
        """The file of a place; its folder is made."""
        file = self.out / kind / place.parent / f"{place.name}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        return file


def maps_of(predictor: Predictor, images: Sequence[Tensor], protocol: Protocol, outputs: Outputs) -> list[Maps]:
    """Results of images of one size, computed together."""
    masks, confidence, probabilities = [], [], []
    for scores in predictor.bands(images, protocol):
        masks.append(scores.argmax(1).to("cpu", torch.uint8))
        if outputs.confidence or outputs.probabilities:
            likely = as_probabilities(scores, protocol)
            if outputs.confidence:
                confidence.append(_as_bytes(likely.amax(1)).cpu())
            if outputs.probabilities:
                probabilities.append(likely.half().cpu())
    mask = torch.cat(masks, 1)
    sure = torch.cat(confidence, 1) if confidence else [None] * len(images)
    likely_all = torch.cat(probabilities, 2) if probabilities else [None] * len(images)
    return [Maps(*maps) for maps in zip(mask, sure, likely_all, strict=True)]


def _as_text(names: Sequence[str]) -> str:
    return "".join(f"{name}\n" for name in names)


def _as_bytes(share: Tensor) -> Tensor:
    return (share.float() * 255).round().to(torch.uint8)


def _save_npz(file: Path, probabilities: Tensor, names: Sequence[str]) -> None:
    scratch = file.with_name(f".{file.name}.tmp")
    with scratch.open("wb") as stream:
        np.savez(stream, probabilities=probabilities.numpy(), classes=np.array(list(names)))
    os.replace(scratch, file)
