"""Terms, and parts of terms, that teach the student nothing, whatever it is shown."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from segdistill import store
from segdistill.distill import Distiller
from segdistill.experiment.verdicts import Finding
from segdistill.types import SegOutput

DRAWS = 3  # a part that is silent in all of them is so for good; maps grow tenfold from one to the next


def silent_terms(
    distiller: Distiller,
    student: SegOutput,
    teachers: Mapping[str, SegOutput],
    crop_size: tuple[int, int],
    batch_size: int,
) -> list[Finding]:
    """Parts with a weight that are 0, or send no gradient to the student, for random maps of a crop.

    Args:
        distiller: Its networks are not called.
        student: What the student says of a crop: the shapes are read.
        teachers: The same of every teacher by its name; none without terms.
        crop_size: Height and width of the labels.
        batch_size: Images of a micro-batch; at most two are drawn.
    """
    silent = _expected(distiller)
    if not teachers or not silent:
        return []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for draw in range(DRAWS):
            if not silent:
                break
            heard = _heard(distiller, student, teachers, crop_size, min(1 + draw, batch_size, 2), 10.0**draw)
            silent = {key: value for key, value in silent.items() if not heard[key]}
    return [_finding(distiller, name, part, teachers) for name, part in silent.values()]


def silent_notes(distiller: Distiller, metrics: Path) -> list[str]:
    """A sentence for every such part that was 0 in all lines of ``metrics.jsonl``."""
    if not metrics.is_file():
        return []
    logged = [parts for record in store.read_records(metrics) if (parts := record.get("parts"))]
    silent = [key for key in _expected(distiller) if logged and not any(parts.get(key) for parts in logged)]
    return [f"{key} was 0 in every logged step: it taught the student nothing." for key in silent]


def _expected(distiller: Distiller) -> dict[str, tuple[str, str]]:
    """Term and part of everything that should teach the student, by the name that logs have."""
    losses, weights = distiller.distillation_losses(), distiller.weights
    named = [(name, part) for name, loss in losses.items() for part in loss.parts or ("",)]
    return {
        key: (name, part)
        for name, part in named
        if weights[key := f"{name}.{part}" if part else name] and part not in losses[name].sometimes_silent
    }


def _heard(
    distiller: Distiller,
    student: SegOutput,
    teachers: Mapping[str, SegOutput],
    crop_size: tuple[int, int],
    batch_size: int,
    scale: float,
) -> Mapping[str, bool]:
    """Whether each part has a value and a gradient for random maps."""
    drawn = _random(student, batch_size)
    shown = {name: _random(output, batch_size) for name, output in teachers.items()}
    maps = [drawn.logits, *drawn.features.values(), *([] if drawn.aux_logits is None else [drawn.aux_logits])]
    for tensor in maps:
        tensor.mul_(scale).requires_grad_()
    classes = student.logits.shape[1]
    blocks = torch.randint(0, classes, (batch_size, 1, 4, 4), device=student.logits.device)
    labels = torch.nn.functional.interpolate(blocks.float(), crop_size)[:, 0].long()
    heard = {}
    for name, value in distiller.distil(drawn, shown, labels).items():
        heard[name] = bool(value.detach()) and value.requires_grad and _has_gradient(value, maps)
    return heard


def _has_gradient(value: Tensor, maps: list[Tensor]) -> bool:
    gradients = torch.autograd.grad(value, maps, allow_unused=True, retain_graph=True)
    return any(gradient is not None and bool(gradient.any()) for gradient in gradients)


def _random(output: SegOutput, batch_size: int) -> SegOutput:
    """Other maps of the same shapes, in float32."""

    def draw(tensor: Tensor) -> Tensor:
        return torch.randn(batch_size, *tensor.shape[1:], device=tensor.device)

    aux = None if output.aux_logits is None else draw(output.aux_logits)
    return SegOutput(draw(output.logits), aux, {name: draw(feature) for name, feature in output.features.items()})


def _layer(output: SegOutput, layer: str) -> Tensor | None:
    maps = {"logits": output.logits, "aux_logits": output.aux_logits, **output.features}
    return maps.get(layer)


def _finding(distiller: Distiller, name: str, part: str, teachers: Mapping[str, SegOutput]) -> Finding:
    """What is said of a silent part."""
    loss = distiller.distillation_losses()[name]
    title = f"{loss.title or name}'s {part}" if part else f"The term {loss.title or name}"
    layer = distiller.layers[name][0][1]
    known = next((found for one in teachers.values() if (found := _layer(one, layer)) is not None), None)
    why = None if known is None else loss.why_silent(part, (known.shape[-2], known.shape[-1]))
    weight = f"`terms.{name}.weight` {f'{{{part}: 0}}' if part else '0'}"
    if why is None:
        text = f"{title} is switched off in this run: it is 0, or sends no gradient to the student, for random maps."
        return Finding("silent-term", text, f"Change its options, leave the term out, or say so by {weight}.")
    option = f"Set `terms.{name}.{why.option}` or enlarge" if why.option else "Enlarge"
    text = f"{title} is switched off in this run: {why.reason}."
    return Finding("silent-term", text, f"{option} `data.crop_size`.")
