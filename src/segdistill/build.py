"""From a recipe to objects: the only module that knows both."""

import inspect
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from segdistill import rundir
from segdistill.config import DataConfig, ModelConfig, Recipe, RecipeError, TeacherConfig
from segdistill.data import DATASETS, Prepared, SegmentationDataset, Source, together
from segdistill.distill import Distiller
from segdistill.engine.evaluate import Protocol
from segdistill.engine.optim import make_optimizers, poly_lr
from segdistill.engine.predict import Predictor
from segdistill.engine.train import Plan
from segdistill.labels import LabelTable
from segdistill.losses import LOSSES
from segdistill.models import Segmenter, create_model, load_official
from segdistill.models.weights import read_student
from segdistill.names import nearest
from segdistill.teacher import Teacher
from segdistill.terms import Term
from segdistill.types import Preprocessing

logger = logging.getLogger(__name__)

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Built(NamedTuple):
    """What a recipe becomes.

    Attributes:
        labels: Class table of the data.
        train_set: Images to learn from, unlabelled ones included.
        val_set: Scored during training, or None.
        test_set: Scored at the end, or None.
        distiller: Student and terms, on the CPU.
        teacher: Or None.
        optimizers: Over the distiller's parameters: the student's, then those of losses that have their own.
    """

    labels: LabelTable
    train_set: SegmentationDataset
    val_set: SegmentationDataset | None
    test_set: SegmentationDataset | None
    distiller: Distiller
    teacher: Teacher | None
    optimizers: list[torch.optim.Optimizer]


def build(recipe: Recipe) -> Built:
    """Build everything, so that what can fail does so before a run starts.

    Raises:
        RecipeError, DataError, DatasetNotFoundError, ValueError: One sentence each.
    """
    train_set, val_set, test_set = build_datasets(recipe)
    labels = train_set.labels
    torch.manual_seed(recipe.seed)  # the same initial student for every method at this seed
    student = build_student(recipe.model, labels.num_classes)
    teacher = None
    if recipe.teacher is not None and recipe.terms:
        teacher = build_teacher(recipe.teacher, labels, precision=recipe.train.precision)
    distiller = build_distiller(recipe, student, teacher)
    optimizers = make_optimizers(
        distiller,
        name=recipe.optim.name,
        lr=recipe.optim.lr,
        momentum=recipe.optim.momentum,
        weight_decay=recipe.optim.weight_decay,
    )
    if recipe.data.unlabelled is not None:
        train_set = together(train_set, _open(_unlabelled(recipe.data.unlabelled), recipe.data))
    return Built(labels, train_set, val_set, test_set, distiller, teacher, optimizers)


def build_datasets(
    recipe: Recipe,
) -> tuple[SegmentationDataset, SegmentationDataset | None, SegmentationDataset | None]:
    """Training, validation and test set.

    Under the paper protocol the weights are chosen on the set that is reported, as the authors did.
    """
    data, paper = recipe.data, recipe.evaluate.protocol == "paper"
    val_split, test_split = data.val_split, data.test_split
    if paper and test_split is not None:
        val_split, test_split = test_split, None
    splits = (data.train_split, val_split, test_split)
    train_set, val_set, test_set = (None if s is None else build_dataset(data, s, paper=paper) for s in splits)
    assert train_set is not None
    return train_set, val_set, test_set


def build_dataset(data: DataConfig, split: str, *, paper: bool = False) -> SegmentationDataset:
    """One split of the recipe's data set, read from its cache if it has one."""
    return _open(_build_source(data, split, paper=paper), data)


def build_sources(recipe: Recipe) -> list[Source]:
    """Everything that a recipe reads images from, for `prepare`."""
    data, paper = recipe.data, recipe.evaluate.protocol == "paper"
    splits = [split for split in (data.train_split, data.val_split, data.test_split) if split is not None]
    sources = [_build_source(data, split, paper=paper) for split in dict.fromkeys(splits)]
    return sources if data.unlabelled is None else [*sources, _unlabelled(data.unlabelled)]


def _open(source: Source, data: DataConfig) -> SegmentationDataset:
    return source.dataset if data.cache is None else Prepared(source, data.cache)


def _unlabelled(root: str) -> Source:
    return Source("images", {}, DATASETS["images"](root, "train"))


def _build_source(data: DataConfig, split: str, *, paper: bool) -> Source:
    if data.dataset not in DATASETS:
        raise RecipeError(
            f"`data.dataset` must be a known data set; got {data.dataset!r}. {nearest(data.dataset, DATASETS)}"
        )
    kind = DATASETS[data.dataset]
    options = dict(data.options)
    if paper and data.dataset == "coco_stuff":
        options.setdefault("classes", 182)
    _check_options(kind, options, "data.options")
    if data.root is None and inspect.signature(kind).parameters["root"].default is inspect.Parameter.empty:
        raise RecipeError(
            f"`data.root` must be the folder of the data set {data.dataset!r}; got null. Add data.root=FOLDER."
        )
    try:
        return Source(data.dataset, options, kind(data.root, split, **options))
    except TypeError as error:  # an option of another type than the data set expects
        raise RecipeError(f"`data.options` must fit the data set {data.dataset!r}; got {options} ({error}).") from None


def build_student(model: ModelConfig, num_classes: int) -> Segmenter:
    """The network that is trained."""
    try:
        network = create_model(
            model.name,
            num_classes=num_classes,
            pretrained=model.pretrained,
            output_stride=model.output_stride,
            aux=model.aux,
            backbone=dict(model.backbone),
            mean=model.mean,
            std=model.std,
        )
    except RuntimeError as error:  # no network to fetch weights over: the user's to mend
        raise RecipeError(f"`model.pretrained`: {error}") from error
    if not model.dropout:
        for module in network.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.p = 0.0
    return network


def build_teacher(teacher: TeacherConfig, labels: LabelTable, *, precision: str = "fp32") -> Teacher:
    """A trained network as a teacher, with its own preprocessing; ``precision`` where it asks for none.

    Raises:
        RecipeError: If it tells other classes apart than the data set does.
    """
    predictor = load_predictor(teacher.weights, official=teacher.official, labels=labels)
    num_classes = getattr(predictor.network, "num_classes", labels.num_classes)
    if num_classes != labels.num_classes or list(predictor.names) != list(labels.names):
        raise RecipeError(
            f"the teacher must know the classes of the data set ({labels.num_classes}: {', '.join(labels.names[:4])}, "
            f"...); {teacher.weights} knows {num_classes}: {', '.join(predictor.names[:4])}, ..."
        )
    pre = predictor.preprocessing
    return Teacher(
        predictor.network,
        features=_features(predictor.network, teacher.features),
        mean=pre.mean,
        std=pre.std,
        bgr=pre.bgr,
        precision=PRECISIONS[teacher.precision or precision],
        fold_bn=teacher.fold_bn,
        compile=teacher.compile,
    )


def build_distiller(recipe: Recipe, student: nn.Module, teacher: Teacher | None) -> Distiller:
    """Student and terms."""
    terms = []
    for name, term in recipe.terms.items():
        loss = term.loss or name
        if loss not in LOSSES:
            raise RecipeError(
                f"`terms.{name}` must name a loss; got {loss!r}. {nearest(loss, LOSSES)} Or set `terms.{name}.loss`."
            )
        terms.append(Term(loss, term.weight, on=term.on, teacher_on=term.teacher_on, options=term.options, name=name))
    pre: Preprocessing = getattr(student, "preprocessing", Preprocessing())
    return Distiller(
        student,
        terms,
        features=_features(student, recipe.model.features),
        mean=pre.mean,
        std=pre.std,
        bgr=pre.bgr,
        teacher=teacher,
        aux_weight=recipe.train.aux_weight,
    )


def build_plan(recipe: Recipe) -> Plan:
    """The numbers of the loop."""
    train, optim = recipe.train, recipe.optim

    def lr(step: int) -> float:
        return poly_lr(step, train.iterations, lr=optim.lr, power=optim.power, min_lr=optim.min_lr)

    return Plan(
        iterations=train.iterations,
        seed=recipe.seed,
        lr=lr,
        batch_size=recipe.data.batch_size,
        accumulate=train.accumulate,
        precision=PRECISIONS[train.precision],
        val_every=train.val_every,
        save_every=train.save_every or train.val_every,
        log_every=train.log_every,
        grad_norms_every=train.grad_norms_every,
        clip=optim.clip,
        clip_terms=optim.clip_terms,
        freeze_bn=train.freeze_bn,
        channels_last=train.channels_last,
    )


def build_protocol(recipe: Recipe) -> Protocol:
    """How scores are taken."""
    config = recipe.evaluate
    return Protocol(config.scales, config.flip, config.window, "zero" if config.protocol == "paper" else "skip")


def load(path: str | Path) -> Predictor:
    """A trained network, ready to predict.

    Args:
        path: A run folder, or a ``student.safetensors``.

    Raises:
        ValueError: If it is neither; the message says what was found.
    """
    return load_predictor(path)


def load_predictor(path: str | Path, *, official: str | None = None, labels: LabelTable | None = None) -> Predictor:
    """As `load`; also a checkpoint of the paper's authors (``.pth``), given its name and the label table."""
    path = Path(path)
    if path.suffix in (".pth", ".tar", ".pkl", ".pt"):
        if official is None or labels is None:
            raise ValueError(f"{path} is a checkpoint of the authors, say which network it is and for which classes.")
        network = load_official(path, official, num_classes=labels.num_classes)
        return Predictor(network.eval(), labels.names, labels.colors, network.preprocessing)
    file = path / rundir.STUDENT if path.is_dir() else path
    if not file.is_file():
        raise rundir.RunError(
            f"{path} must be a run folder or a {rundir.STUDENT}; it holds no such file. Is the run complete?"
            if path.exists()
            else f"{path} does not exist."
        )
    student, metadata = read_student(file)
    table = LabelTable.from_json(metadata["labels"])
    if table.num_classes != student.num_classes:
        raise ValueError(
            f"{file} must name its {student.num_classes} classes; its label table has {table.num_classes}."
        )
    return Predictor(
        student.eval(), table.names, table.colors, student.preprocessing, _image_scale(file, metadata), metadata
    )


def _image_scale(file: Path, metadata: dict[str, Any]) -> float:
    text = metadata.get("image_scale", "1.0")
    try:
        scale = float(text)
    except ValueError:
        scale = math.nan
    if not 0 < scale < math.inf:
        raise ValueError(f"{file} must have a positive number as its image_scale; got {text!r}.")
    return scale


def _features(network: nn.Module, more: dict[str, str] | None) -> dict[str, str] | None:
    """Features of a recipe beside those that the network publishes."""
    if more is None:
        return None
    return {name: name for name in getattr(network, "feature_channels", {})} | more


def _check_options(kind: Callable[..., Any], options: dict[str, Any], key: str) -> None:
    known = [name for name in inspect.signature(kind).parameters if name not in ("root", "split")]
    for name in options:
        if name not in known:
            raise RecipeError(
                f"`{key}.{name}` is not an option of {getattr(kind, '__name__', kind)}. {nearest(name, known)}"
            )
