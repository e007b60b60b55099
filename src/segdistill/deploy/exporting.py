"""The verb: files that other programs run, each with the proof that it answers as the network does."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from segdistill import store
from segdistill.data import SegmentationDataset
from segdistill.deploy.formats import FORMATS, OPSETS, Format
from segdistill.deploy.manifest import as_row, note
from segdistill.deploy.parting import first_apart
from segdistill.deploy.proof import prove, sizes_of
from segdistill.deploy.tracing import EXAMPLE, as_layout, noise_image, portable, trace
from segdistill.experiment import build_dataset, make_accelerator, score_predictor
from segdistill.measure import timings
from segdistill.networks import ExportFacts, ImageLayout, Network, need_runtime
from segdistill.prediction import Deployable, Predictor, load_predictor
from segdistill.recipe import Recipe, change_recipe, load_recipe
from segdistill.store import ExportedFile, ExportManifest, Score, Speed
from segdistill.util import ArgumentError, NetworkError, as_path, as_texts, nearest, verb

IMAGES: Final = 4
"""Images that are compared at each size."""
IMAGES_IN_WORDS: Final = {
    "float": "float32 (B, C, H, W) in [0, 1], RGB",
    "uint8": "uint8 (B, H, W, C), 0 to 255, RGB",
}
REPEATS: Final = 20
"""Timed passes over one image."""


class Exports(NamedTuple):
    """What was written.

    Attributes:
        folder: Where the files and ``export.json`` lie.
        files: Path by format.
        manifest: What ``export.json`` holds.
    """

    folder: Path
    files: dict[str, Path]
    manifest: ExportManifest

    def frame(self) -> list[dict[str, Any]]:
        """A row a file: ``file``, ``verified``, ``largest``, ``equal``, ``miou``, ``trained_miou``, ``ms``, ..."""
        return [as_row(path.name, self.manifest.files[path.name]) for path in self.files.values()]


class _Asked(NamedTuple):
    """What shall be exported, and how it is proved."""

    predictor: Predictor
    ship: Deployable
    facts: ExportFacts
    opset: int
    limit: float
    recipe: Recipe | None
    dataset: SegmentationDataset | None
    split: str | None
    trained: dict[str, Any]
    images: list[Tensor]


@verb
def export(
    run: str | Path | Predictor | Network,
    to: Sequence[str] | str = ("onnx",),
    *,
    out: str | Path | None = None,
    recipe: str | Path | Recipe | None = None,
    overrides: Sequence[str] = (),
    split: str | None = None,
    noise: bool = False,
    size: tuple[int, int] | None = None,
    argmax: bool = False,
    uint8: bool = False,
    opset: int = 20,
    limit: float = 1e-3,
    source: str | None = None,
    name: str | None = None,
    student: nn.Module | str | None = None,
    announce: Callable[[str], None] | None = None,
) -> Exports:
    """Write a trained network as files that other programs run, and prove that they answer as it does.

    A file holds all between an image and its classes: resizing, normalisation, the network, logits or class ids at the
    size of the image; names and colours of the classes and the protocol are in its metadata. ``export.json`` beside it
    says how far it differs, how it scores, and how fast it is.

    Args:
        run: A run folder, a ``student.safetensors``, a file of weights of ``source``, or a network at hand that knows
            its classes.
        to: Of ``onnx``, ``openvino``, ``torch``; a list, or by commas.
        out: Folder of the files. Default: ``export`` in the run folder.
        recipe: Names the data of the proof. Default: the recipe of the run.
        overrides: ``["data.root=FOLDER"]``, on the recipe.
        split: Of the data. Default: its validation split.
        noise: Compare on noise, and score nothing, where there is no data.
        size: Height and width that the file shall insist on. Default: any.
        argmax: Give class ids instead of logits.
        uint8: Take (B, H, W, C) of bytes instead of (B, C, H, W) of floats in [0, 1].
        opset: Of ONNX, 18 to 23.
        limit: Largest difference, as a share of the largest logit.
        source: Source of the network, as in `load_predictor`.
        name: Its name there.
        student: As in `load`, where the network came from code of your own.
        announce: Called with a sentence before each part.

    Raises:
        NetworkError: If the network cannot be made a graph; or a file differs by more than the limit, which stays where
            it is, marked as not verified, with the layer where it parts from the network.
        SegdistillError: What is wrong with an argument, the network or the data, in a sentence.

    Example:
        ``sd.export("runs/student", ["onnx", "openvino"]).frame()`` has a row a file: ``largest``, ``miou``, ``ms``, ...
    """
    formats = _formats(to)
    if size is not None and (len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size)):
        raise ArgumentError(f"`size` must be a height and a width above 0; got {size!r}.")
    if not isinstance(opset, int) or not OPSETS[0] <= opset <= OPSETS[1]:
        raise ArgumentError(f"`opset` must be a whole number from {OPSETS[0]} to {OPSETS[1]}; got {opset!r}.")
    if not 0 < limit < 1:
        raise ArgumentError(f"`limit` must be between 0 and 1; got {limit!r}.")
    place = None if isinstance(run, (Predictor, Network)) else as_path("run", run)
    folder = as_path("out", out) if out is not None else _folder(place)
    chosen = _recipe(place, recipe, as_texts("overrides", overrides, '["data.root=FOLDER"]'), noise)
    dataset, split = _data(chosen, split)
    predictor = _predictor(run, source, name, dataset, student)
    say = announce or (lambda sentence: None)
    layout: ImageLayout = "uint8" if uint8 else "float"
    ship = Deployable(predictor.network, image_scale=predictor.image_scale, argmax=argmax, layout=layout).eval()
    say(f"Making a graph for {'any size' if size is None else f'{size[0]}x{size[1]}'}.")
    program = trace(portable(ship), predictor.channels, size)
    trained: dict[str, Any] = {}
    if chosen is not None and dataset is not None and split is not None:
        say(f"Scoring the trained network on {len(dataset)} images of {split}.")
        trained = _score(chosen, predictor, dataset, split)
    facts = ExportFacts(
        predictor.labels, layout, "ids" if argmax else "logits", size, predictor.channels, predictor.image_scale,
        _about(predictor, trained),
    )  # fmt: skip
    images = _images(dataset, predictor.channels, size)
    asked = _Asked(predictor, ship, facts, opset, limit, chosen, dataset, split, trained, images)
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, Path] = {}
    for kind, form in formats.items():
        files[kind] = folder / f"student{form.suffix}"
        say(f"Writing and proving {files[kind]}.")
        form.write(program, files[kind], facts, opset)
        record = _proved(kind, form, files[kind], asked)
        if record.problem is not None and kind == "onnx":
            image = as_layout(images[0].repeat(2, 1, 1, 1), layout)
            where = first_apart(program, files[kind], image, opset, limit)
            if where is not None:
                record = record.model_copy(update={"problem": f"{record.problem}; they part at {where}"})
        note(folder, files[kind].name, record)
    manifest = store.read_record(ExportManifest, folder / store.EXPORT)
    for path in files.values():
        if (problem := manifest.files[path.name].problem) is not None:
            raise NetworkError(
                f"{path} does not answer as the trained network does: {problem}. It is marked as not verified in "
                f"{folder / store.EXPORT}. Try another --opset, or one --size."
            )
    return Exports(folder, files, manifest)


def _formats(to: Sequence[str] | str) -> dict[str, Format]:
    names = [part.strip() for part in to.split(",")] if isinstance(to, str) else list(to)
    for name in names or [""]:
        if name not in FORMATS:
            raise ArgumentError(f"`to` must be of {', '.join(FORMATS)}; got {name!r}. {nearest(name, FORMATS)}")
    for name in names:
        for library in FORMATS[name].libraries:
            need_runtime(library, f"the format {name}")
    return {name: FORMATS[name] for name in dict.fromkeys(names)}


def _folder(place: Path | None) -> Path:
    if place is None:
        raise ArgumentError("`out` must be given for a network at hand: the folder of the files.")
    return (place if place.is_dir() else place.parent) / "export"


def _recipe(
    place: Path | None, recipe: str | Path | Recipe | None, overrides: Sequence[str], noise: bool
) -> Recipe | None:
    if noise:
        return None
    own = None if place is None else (place if place.is_dir() else place.parent) / store.RECIPE
    if recipe is None and (own is None or not own.is_file()):
        raise ArgumentError(
            "`recipe` must name the data that the files are proved on: the network does not come with a run. Without "
            "data, compare on noise: noise=True, or --noise."
        )
    chosen = load_recipe(own if recipe is None and own is not None else recipe, overrides)  # type: ignore[arg-type]
    return change_recipe(chosen, {}, ["train.device=cpu", "evaluate.boundary=false"])


def _data(recipe: Recipe | None, split: str | None) -> tuple[SegmentationDataset | None, str | None]:
    if recipe is None:
        return None, None
    chosen = split or recipe.data.val_split or recipe.data.test_split or recipe.data.train_split
    return build_dataset(recipe.data, chosen, paper=recipe.evaluate.protocol == "paper"), chosen


def _predictor(
    run: Any, source: str | None, name: str | None, dataset: SegmentationDataset | None, student: nn.Module | str | None
) -> Predictor:
    if isinstance(run, Network):
        return Predictor(run.eval())
    if isinstance(run, Predictor):
        return run
    labels = None if dataset is None else dataset.labels
    return load_predictor(run, source=source, name=name, labels=labels, student=student)


def _about(predictor: Predictor, trained: Mapping[str, Any]) -> dict[str, str]:
    """What people want to know, as strings."""
    feed = predictor.network.preprocessing
    said = {key: value for key, value in predictor.metadata.items() if key in ("recipe", "score", "protocol")}
    inside = f"in the graph: mean {list(feed.mean)}, std {list(feed.std)}, {'BGR' if feed.bgr else 'RGB'}"
    return {
        **said,
        "preprocessing": f"{inside}, resized by {predictor.image_scale:g}",
        **({"proved_under": trained["protocol"]} if trained else {}),
    }


def _images(dataset: SegmentationDataset | None, channels: int, size: tuple[int, int] | None) -> list[Tensor]:
    """Images (C, H, W) in [0, 1]: the first of the split, or noise."""
    if dataset is None:
        return [*noise_image(channels, size or (2 * EXAMPLE[0], 2 * EXAMPLE[1]), IMAGES)]
    found = [dataset[index][0] for index in range(min(IMAGES, len(dataset)))]
    return [image.float() / 255 if image.dtype == torch.uint8 else image.float() for image in found]


def _proved(kind: str, form: Format, path: Path, asked: _Asked) -> ExportedFile:
    """Read a file back, compare, score and time it."""
    exported = load_predictor(path)
    images = asked.images
    height, width = images[0].shape[-2:]
    sizes = [asked.facts.size] if asked.facts.size is not None else sizes_of(height, width)
    proof = prove(asked.ship, exported.network, images, sizes, asked.limit)
    score = None
    if asked.recipe is not None and asked.dataset is not None and asked.split is not None and proof.problem is None:
        score = _score(asked.recipe, exported, asked.dataset, asked.split)["score"]
    fed = nn.functional.interpolate(images[0][None], size=sizes[0], mode="bilinear", align_corners=False)
    timed = timings(
        {"trained": lambda image: asked.ship(as_layout(image, asked.facts.layout)), "file": exported.network.segment},
        fed.clamp(0, 1), repeats=REPEATS,
    )  # fmt: skip
    content = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
    digest = hashlib.sha256(b"".join(part.read_bytes() for part in content)).hexdigest()
    sides = "any size" if asked.facts.size is None else "x".join(map(str, asked.facts.size))
    return ExportedFile(
        format=kind, verified=proof.problem is None, problem=proof.problem, differences=proof.differences,
        limit=asked.limit, images="noise" if asked.dataset is None else f"{len(images)} of {asked.split}",
        score=score, trained=asked.trained.get("score"), speed=_speed(timed["file"]),
        trained_speed=_speed(timed["trained"]), threads=torch.get_num_threads(),
        bytes=sum(part.stat().st_size for part in content), sha256=digest,
        image=f"{IMAGES_IN_WORDS[asked.facts.layout]}, {sides}",
        output="class ids (B, H, W)" if asked.facts.output == "ids" else "logits (B, K, H, W)",
        opset=None if kind == "torch" else asked.opset, protocol=asked.trained.get("protocol"),
        network=repr(asked.predictor.network),
        versions={"torch": torch.__version__, **{library: version(library) for library in form.libraries}},
    )  # fmt: skip


def _score(recipe: Recipe, predictor: Predictor, dataset: SegmentationDataset, split: str) -> dict[str, Any]:
    found = score_predictor(recipe, predictor, dataset, split, make_accelerator(recipe), name="the network")
    return {"score": Score.model_validate(found["score"]), "protocol": found["protocol"]}


def _speed(times: Sequence[float]) -> Speed:
    return Speed(median=round(median(times), 3), p95=round(quantiles(times, n=20, method="inclusive")[-1], 3))
