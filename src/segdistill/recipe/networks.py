"""The networks of a recipe: what is trained, what it learns from, and by which terms."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from segdistill.recipe.kinds import CLOSED, Mapping, Weight

ALONE: Final = "teacher"
"""Name of the teacher that has its own section."""

MEAN: Final = "mean"
"""Name of the mean of all teachers."""


class _Closed(BaseModel):
    model_config = CLOSED


class ModelConfig(_Closed):
    """The network that is trained; the number of classes comes from the data.

    Attributes:
        source: Where it comes from, a name in ``SOURCES``.
        name: Of the network in its source; of the zoo ``<head>_<backbone>``.
        weights: Trained weights of the whole network to start from: a run folder or a ``student.safetensors``.
        pretrained: Weights of its backbone to start from: true for the source's own (timm's ImageNet weights), or a
            safetensors file.
        options: Further arguments of the source; of the zoo ``output_stride``, ``aux``, ``dropout``, ``backbone``,
            ``mean``, ``std``.
        features: Further features by name: ``{deep: backbone.layer3}``.
    """

    source: str = "zoo"
    name: str
    weights: str | None = None
    pretrained: bool | str = False
    options: Mapping = {}
    features: dict[str, str] | None = None


class TeacherConfig(_Closed):
    """A trained network.

    Attributes:
        source: Where the network comes from, a name in ``SOURCES``; null for a run or a ``student.safetensors``, which
            say it themselves.
        name: Of the network in its source, for example ``deeplabv3_resnet101``; only with ``source``.
        weights: A run folder, its ``student.safetensors`` (the trained network of any run, a teacher's too), or a file
            of weights of the source. Null where the source brings weights itself, as a Hugging Face id does.
        pretrained: Weights that the source has of it: true, or what the source calls them; only with ``source``.
        options: Further arguments of the source; only with ``source``.
        features: Further features by name: ``{deep: backbone.layer3}``.
        classes: Which of its classes mean which of the data's: ``{road: [road, "lane marking"]}``, ``auto`` for equal
            names, ``none`` to learn features alone. Null: it has the data's classes, in any order.
        check: Ask it about some validation images before the training, and stop if it does not know them.
        certainty: Pixels of logits count as much as the teacher is certain of them, if it says so.
        precision: ``fp32`` or ``bf16``, whose weights are cast once; null for ``train.precision``.
        fold_bn: Fold batch normalisation into the convolutions before it: the same outputs up to rounding.
        compile: ``torch.compile`` it, at the first step.
    """

    source: str | None = None
    name: str | None = None
    weights: str | None = None
    pretrained: bool | str = False
    options: Mapping = {}
    features: dict[str, str] | None = None
    classes: Literal["auto", "none"] | dict[str, str | list[str]] | None = None
    check: bool = True
    certainty: bool = True
    precision: Literal["fp32", "bf16"] | None = None
    fold_bn: bool = True
    compile: bool = False

    @field_validator("classes", mode="before")
    @classmethod
    def _of_classes(cls, classes: Any) -> Any:
        names = list(classes.values()) if isinstance(classes, dict) else []
        each = [name for item in names for name in (item if isinstance(item, list | tuple) else [item])]
        if classes in (None, "auto", "none") or (each and all(isinstance(name, str) for name in each)):
            return classes
        raise ValueError(
            "must be `auto` (equal names), `none` (it teaches features alone) or a mapping such as "
            f"`{{road: [road, lane marking]}}`; got {classes!r}."
        )

    @property
    def is_somewhere(self) -> bool:
        """Whether it says where the network comes from."""
        return self.weights is not None or (self.source is not None and self.name is not None)

    @property
    def title(self) -> str:
        """Its weights, or the name of the network that the source brings."""
        return self.weights or str(self.name)


class TermConfig(BaseModel):
    """A distillation loss. Keys beside these are options of the loss and are checked against it.

    Attributes:
        loss: Name in ``LOSSES``; null for the name of the term.
        weight: Its factor, or one for each part: ``{mimic: 2.0e-6, contrast: 5.0e-3}``; null: as published.
        layer: ``logits``, ``aux_logits`` or a feature; ``[student's, teacher's]`` where the names differ; for a loss
            that takes several maps, a list of either. Null for what the loss reads by nature.
        teacher: Name of the teacher that it learns from, or ``mean``; null for the only one, or of several their mean.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    loss: str | None = None
    weight: Weight | dict[str, Weight] | None = None
    layer: str | list[str | list[str]] | None = None
    teacher: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_old_keys(cls, term: Any) -> Any:
        """YAML reads the key ``on`` as true."""
        if isinstance(term, dict) and any(key in term for key in (True, "on", "teacher_on")):
            raise ValueError(
                "a term has no keys `on` and `teacher_on` any more. Write `layer: NAME`, or "
                "`layer: [STUDENT'S, TEACHER'S]`."
            )
        return term

    @field_validator("layer", mode="before")
    @classmethod
    def _of_names(cls, layer: Any) -> Any:
        items = layer if isinstance(layer, list | tuple) else [layer]
        names = [name for item in items for name in (item if isinstance(item, list | tuple) else [item])]
        if layer is not None and not all(isinstance(name, str) for name in names):
            raise ValueError(f"must be a name, or a list of names and of pairs of names; got {layer!r}.")
        return layer

    @property
    def options(self) -> dict[str, Any]:
        """Options of the loss."""
        return dict(self.model_extra or {})
