"""The typed, closed schema of a recipe: its keys, their kinds, ranges and defaults.

Only the room ``experiment``, which turns a recipe into objects, and those above it know a recipe.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from segdistill.recipe.kinds import CLOSED, Count, Mapping, NotNegative, Positive, Size
from segdistill.recipe.networks import ALONE, MEAN, ModelConfig, TeacherConfig, TermConfig


class _Closed(BaseModel):
    model_config = CLOSED


class DataConfig(_Closed):
    """Images, labels and how they are cut into batches.

    Attributes:
        dataset: Name in ``DATASETS``.
        root: Folder of the data set; null for one that is drawn (``streets``).
        train_split: Split to learn from.
        val_split: Split that is scored during training and chooses the best weights; null for none.
        test_split: Split that is scored once at the end, with the best weights; null for none.
        options: Further arguments of the data set, for example ``classes`` of a ``folder``.
        channels: Of an image: 3 for red, green and blue; another number reads that many from files that have them.
        unlabelled: Folder, pattern or list (``.txt``) of images without labels, added to the training set.
        cache: Folder that `segdistill prepare` wrote, read instead of the image files; null for none.
        image_scale: Images are resized by this factor when read; labels of val and test are not.
        crop_size: (height, width) of a training crop, pixels.
        scale_range: Random scale of an image before the crop: from, to.
        flip: Probability of a horizontal flip.
        batch_size: Images per optimizer step, over all processes and micro-batches.
        num_workers: Loader processes per training process.
        max_faults: How many unreadable files a run steps over, each named, before it stops.
    """

    dataset: str
    root: str | None = None
    train_split: str = "train"
    val_split: str | None = "val"
    test_split: str | None = None
    options: Mapping = {}
    channels: Count = 3
    unlabelled: str | None = None
    cache: str | None = None
    image_scale: Positive = 1.0
    crop_size: Size
    scale_range: tuple[Positive, Positive] = (0.5, 2.0)
    flip: Annotated[float, Field(ge=0, le=1)] = 0.5
    batch_size: Count = 16
    num_workers: Annotated[int, Field(ge=0)] = 4
    max_faults: Annotated[int, Field(ge=0)] = 10


class OptimConfig(_Closed):
    """Optimizer and schedule: ``lr * (1 - step / iterations) ** power``, never below ``min_lr``.

    Attributes:
        name: ``sgd`` or ``adamw``.
        lr: Learning rate at the start.
        momentum: Of SGD.
        weight_decay: On all parameters.
        power: Of the polynomial decay.
        min_lr: Floor.
        clip: Largest L2 norm of the whole gradient; null for no clipping.
        clip_terms: Largest L2 norm of the gradient of the distillation losses' own parameters (the authors' 15);
            null for no clipping.
    """

    name: Literal["sgd", "adamw"] = "sgd"
    lr: Positive = 0.02
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: NotNegative = 1e-4
    power: NotNegative = 0.9
    min_lr: NotNegative = 0.0
    clip: Positive | None = None
    clip_terms: Positive | None = None


class TrainConfig(_Closed):
    """The loop.

    Attributes:
        iterations: Optimizer steps.
        accumulate: Micro-batches per step.
        precision: ``fp32`` or ``bf16`` (autocast; losses stay in float32); null for what suits the device: ``bf16`` on
            a GPU that has it, unless ``evaluate.protocol`` is ``paper``, else ``fp32``.
        aux_weight: Weight of the auxiliary loss.
        val_every: Steps between validations; the last step is always validated.
        save_every: Steps between checkpoints; null for every validation.
        log_every: Steps between lines of ``metrics.jsonl``.
        grad_norms_every: Steps between measurements of the gradient that each loss part sends into the student,
            a backward pass for each; null for none.
        channels_last: Memory layout of networks and images; about a third faster on a CPU, and on a GPU with bf16;
            null for what suits the device: true on a GPU in ``bf16``, else false.
        deterministic: Equal bits on a GPU too, from slower algorithms.
        compile: ``torch.compile`` the student, at the first step; it is scored uncompiled.
        freeze_bn: Keep BatchNorm at its stored statistics.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: Of a run on a CPU; null for a choice by the work a layer. ``OMP_NUM_THREADS`` goes before it.
        tracker: ``tensorboard`` or null.
        gallery: How many evaluated images to keep as pictures for the report.
    """

    iterations: Count
    accumulate: Count = 1
    precision: Literal["fp32", "bf16"] | None = None
    aux_weight: NotNegative = 0.4
    val_every: Count = 800
    save_every: Count | None = None
    log_every: Count = 50
    grad_norms_every: Count | None = None
    channels_last: bool | None = None
    deterministic: bool = False
    compile: bool = False
    freeze_bn: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Count | None = None
    tracker: Literal["tensorboard"] | None = None
    gallery: Annotated[int, Field(ge=0, le=64)] = 8


class EvaluateConfig(_Closed):
    """How scores are taken; the protocol of a score says it in words.

    Attributes:
        protocol: ``default``, or ``paper`` for the averages of the published tables.
        scales: Image scales whose probabilities are averaged.
        flip: Also average over the mirrored image.
        window: (height, width) of a sliding window, pixels; null for the whole image at once.
        boundary: Also score how well contours fit, once, with the best weights.
    """

    protocol: Literal["default", "paper"] = "default"
    scales: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1.0,)
    flip: bool = False
    window: Size | None = None
    boundary: bool = True


class Recipe(_Closed):
    """One run: a teacher, a student alone, or a distillation.

    Attributes:
        name: Of the run folder and the tables.
        description: What it is, and the published score if there is one.
        role: ``teacher`` or ``student``; only names the run.
        seed: Of the initial weights, the data order, the augmentation and the masks.
        data: See `DataConfig`.
        model: The network that is trained.
        teacher: The network it learns from; only with ``terms``.
        teachers: Several of them by name, beside or instead of ``teacher``; a term names its own.
        terms: Distillation losses by name.
        methods: Terms of methods for ``segdistill compare``, beside or instead of its own: name to terms.
        optim: See `OptimConfig`.
        train: See `TrainConfig`.
        evaluate: See `EvaluateConfig`.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    description: str = ""
    role: Literal["teacher", "student"] = "student"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataConfig
    model: ModelConfig
    teacher: TeacherConfig | None = None
    teachers: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")], TeacherConfig] = {}
    terms: dict[str, TermConfig] = {}
    methods: dict[str, dict[str, TermConfig]] = {}
    optim: OptimConfig = OptimConfig()
    train: TrainConfig
    evaluate: EvaluateConfig = EvaluateConfig()

    @field_validator("terms", mode="before")
    @classmethod
    def _without_null(cls, terms: Any) -> Any:
        """``terms.kd=null`` takes a term of the base away."""
        return {k: v for k, v in terms.items() if v is not None} if isinstance(terms, dict) else terms

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if self.terms and not self.taught_by:
            raise ValueError(
                "`teacher` must be given where there are terms; got null. Add teacher.weights=RUN, a run folder."
            )
        if MEAN in self.teachers or (self.teacher is not None and ALONE in self.teachers):
            raise ValueError(f"`teachers` must have other names than {MEAN} and, beside `teacher`, {ALONE}.")
        for name, teacher in self.taught_by.items() if self.terms else ():
            if not teacher.is_somewhere:
                key = f"teachers.{name}" if name in self.teachers else name
                raise ValueError(
                    f"`{key}` must have `weights`, a run folder or a file, or the `source` and `name` of a network. "
                    f"Add {key}.weights=RUN."
                )
        for name, term in self.terms.items():
            if term.teacher not in (None, MEAN, *self.taught_by):
                raise ValueError(
                    f"`terms.{name}.teacher` must be {MEAN} or one of {', '.join(self.taught_by)}; "
                    f"got {term.teacher!r}."
                )
        if self.data.batch_size % self.train.accumulate:
            raise ValueError(
                f"`data.batch_size` must be a multiple of `train.accumulate`; got {self.data.batch_size} and "
                f"{self.train.accumulate}."
            )
        low, high = self.data.scale_range
        if low > high:
            raise ValueError(f"`data.scale_range` must not fall; got {low} to {high}.")
        return self

    @property
    def taught_by(self) -> dict[str, TeacherConfig]:
        """All teachers by name; ``teacher`` is called so."""
        return ({} if self.teacher is None else {ALONE: self.teacher}) | self.teachers

    @property
    def kind(self) -> Literal["teacher", "student", "distilled"]:
        """``teacher``, ``student`` (alone) or ``distilled``."""
        return "distilled" if self.terms else self.role
