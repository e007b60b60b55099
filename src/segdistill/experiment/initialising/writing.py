"""The three recipes as text: written to be read, with every proposal as a comment."""

import json
import re
import textwrap
from typing import Any, Final, NamedTuple

import yaml

from segdistill.experiment.initialising.depth import Depth
from segdistill.experiment.initialising.measures import Measures

_PLAIN: Final = re.compile(r"[A-Za-z_./][A-Za-z0-9_ ./+()-]*(?<! )")
_WORDS: Final = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf"])
_WIDTH: Final = 110
_FLOW: Final = 80  # characters that a mapping or list of one line may have


class Draft(NamedTuple):
    """What the templates are filled with.

    Attributes:
        command: What was asked for.
        dataset: Name of the data set.
        root: Its folder.
        splits: Keys of the recipe that name splits.
        options: Of the data set.
        reasons: Why an option stands there.
        asides: Options that are proposed without being set, as lines of YAML with their reason.
        data_asides: Likewise keys of ``data``.
        measures: Numbers.
        steps_said: How the number of steps came about.
        depth: Of images that have more than 8 bits or three channels.
    """

    command: str
    dataset: str
    root: str
    splits: dict[str, str | None]
    options: dict[str, Any]
    reasons: dict[str, str]
    asides: list[tuple[str, str]]
    data_asides: list[tuple[str, str]]
    measures: Measures
    steps_said: str
    depth: Depth | None = None


def student(draft: Draft) -> str:
    """The recipe that the others stand on."""
    measures = draft.measures
    lines = [
        f"# Written by `{' '.join(draft.command.split())}`.",
        "# What a comment calls a proposal is a guess: look at it.",
        "data:",
        f"  dataset: {draft.dataset}",
        f"  root: {scalar(draft.root)}",
        *(f"  {key}: {'null' if word is None else scalar(word)}" for key, word in draft.splits.items()),
    ]
    if draft.options:
        lines.append("  options:")
    elif draft.asides:
        lines.append("  options: {}")
    for key, value in draft.options.items():
        if reason := draft.reasons.get(key):
            lines += _comment(reason, "    ")
        lines += _entry(key, value, "    ")
    for line, reason in draft.asides:
        lines += [f"    # proposal: {line}", *_comment(reason, "    ")]
    lines += [
        *([] if draft.depth is None else [f"  channels: {draft.depth.channels}  # of {draft.depth.bits} bits"]),
        *_comment(f"proposal: the median image is {_by(measures.size)}", "  "),
        f"  crop_size: [{measures.crop[0]}, {measures.crop[1]}]",
        f"  batch_size: {measures.batch}",
        f"  num_workers: {measures.workers}  # one a core of this machine",
    ]
    for line, reason in draft.data_asides:
        lines += [f"  # proposal: {line}", *_comment(reason, "  ")]
    lines += [
        "model:",
        "  name: deeplabv3_mobilenetv2",
        "  pretrained: true  # ImageNet weights, fetched by timm; or a safetensors file; false: from nothing",
        *_feeding(draft.depth),
        "optim: {lr: 0.01}",
        "train:",
        *_comment(f"proposal: {draft.steps_said}", "  "),
        f"  iterations: {measures.steps}",
        f"  val_every: {measures.steps // 10}",
    ]
    return "\n".join(lines) + "\n"


TEACHER: Final = """\
# The network that the student learns from: the same data, a larger network.
base: student
role: teacher
model: {name: deeplabv3_resnet101}
"""

DISTILLED: Final = """\
# The student again, now learning from the teacher too.
base: student
teacher: {weights: runs/teacher}  # the run of teacher.yaml
terms:
  kd: {weight: 1.0}
  af_dcd: {layer: layer4, weight: {mimic: 33.6, contrast: 0.08}, reduction: mean}
optim: {clip_terms: 15.0}  # bounds the gradient of the terms, as the library's recipes do
"""


def scalar(value: Any) -> str:
    """A value as YAML, in quotes where YAML would take a text for something else.

    >>> scalar("road"), scalar("no"), scalar("1"), scalar("a: b"), scalar(0.2)
    ('road', '"no"', '"1"', '"a: b"', '0.2')
    """
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS and yaml.safe_load(value) == value
        return value if plain else json.dumps(value, ensure_ascii=not value.isprintable())
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(scalar, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{scalar(key)}: {scalar(part)}' for key, part in value.items())}}}"
    return repr(value)


def _feeding(depth: Depth | None) -> list[str]:
    """How the network is fed, where ImageNet's mean says nothing about the images."""
    if depth is None:
        return []
    mean, std = ([float(f"{number:.4g}") for number in numbers] for numbers in depth.statistics[:2])
    return [
        "  options:",
        *_comment(f"measured on {depth.statistics.num_images} training images; check --stats measures all", "    "),
        f"    mean: {mean}",
        f"    std: {std}",
    ]


def _entry(key: str, value: Any, indent: str) -> list[str]:
    whole = f"{indent}{key}: {scalar(value)}"
    if not isinstance(value, (dict, list)) or len(whole) <= _FLOW:
        return [whole]
    if isinstance(value, dict):
        return [f"{indent}{key}:", *(f"{indent}  {scalar(name)}: {scalar(part)}" for name, part in value.items())]
    return [f"{indent}{key}:", *(f"{indent}  - {scalar(part)}" for part in value)]


def _comment(text: str, indent: str) -> list[str]:
    flat = " ".join(text.splitlines())
    return textwrap.wrap(flat, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ",
                         break_long_words=False, break_on_hyphens=False)  # fmt: skip


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} pixels (height x width)"
