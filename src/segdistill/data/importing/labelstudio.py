"""Label Studio's own exports, "JSON" and "JSON-MIN": tasks with strokes of a brush and outlines.

Datumaro does not read them. JSON-MIN has what the first annotator said, by the name of the control that took it down.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from segdistill.data.importing.brush import painted
from segdistill.data.pictures import IMAGE_SUFFIXES, size_of

NAME: Final = "label_studio"

_UPLOADED: Final = re.compile(r"[0-9a-f]{8}-")  # stands before the name of a file that was uploaded
_LOST: Final = {"rectanglelabels": "bbox", "keypointlabels": "points", "choices": "label", "textarea": "caption"}


def find_tasks(source: Path) -> Path | None:
    """The file of tasks in a folder; None if it is no export of Label Studio."""
    for path in sorted(source.glob("*.json")):
        with path.open("rb") as file:
            start = file.read(4096).lstrip()
        marks = (b'"annotations"', b'labels"', b'"rle"')  # the last two of JSON-MIN
        if start.startswith(b"[") and b'"id"' in start and any(mark in start for mark in marks):
            return path
    return None


def class_names(tasks: Path) -> list[str]:
    """Every label that an area has, sorted."""
    found: set[str] = set()
    for task in _tasks(tasks):
        for result in _results(task):
            found.update(_labels(result)[:1])
    return sorted(found)


def read_items(tasks: Path, source: Path, names: Sequence[str]) -> Iterator[Any]:
    """The tasks one after the other, as items like Datumaro's."""
    index = {name: number for number, name in enumerate(names)}
    images = {path.name: path for path in source.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES}
    for task in _tasks(tasks):
        wanted = [name for value in task.get("data", {}).values() if isinstance(value, str) for name in _names(value)]
        path = next((images[name] for name in wanted if name in images), None)
        results = _results(task)
        size = next((_size(result) for result in results if "original_height" in result), None)
        real = size_of(path) if path else None
        fits = real is not None and size in (real, real[::-1])
        annotations = [_annotation(result, index, fits) for result in results]
        annotations += [Other("further annotation of the same image")] * (len(_done(task)) - 1)
        shown = str(path or source / "missing")
        media = SimpleNamespace(path=shown, has_size=size is not None, size=size)
        name = path.relative_to(source).with_suffix("").as_posix() if path else str(task.get("id", ""))
        yield SimpleNamespace(id=name, subset="train", media=media, annotations=annotations)


class Other:
    """What no mask can hold."""

    def __init__(self, kind: str, label: int | None = None) -> None:
        self.type = SimpleNamespace(name=kind)
        self.label, self.group, self.z_order = label, 0, 0


class Area(Other):
    """A stroke or an outline, which is worked out when it is asked for: it may be damaged.

    Args:
        result: What Label Studio says of it.
        label: Its class, by place.
        fits: Whether the size it claims is that of the image.
    """

    def __init__(self, result: Mapping[str, Any], label: int | None, *, fits: bool) -> None:
        super().__init__("mask" if result["type"] == "brushlabels" else "polygon", label)
        self._result, self._fits = result, fits

    @property
    def rle(self) -> dict[str, Any]:
        """Its size, as COCO says it."""
        return {"size": _size(self._result)}

    @property
    def image(self) -> NDArray[np.bool_]:
        """The pixels of a stroke."""
        return painted(self._result["value"]["rle"], _size(self._result))

    def as_polygon(self) -> list[float]:
        """The corners of an outline, in pixels: x, y, x, y, ..."""
        height, width = _size(self._result)
        value = self._result["value"]
        if self._result["type"] == "polygonlabels":  # in per cent
            corners = np.asarray(value["points"], float).reshape(-1, 2)
        else:
            angles = np.linspace(0, 2 * np.pi, 360, endpoint=False)
            along = np.stack([value["radiusX"] * width * np.cos(angles), value["radiusY"] * height * np.sin(angles)])
            turn = np.deg2rad(float(value.get("rotation", 0)))
            rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
            corners = (rotation @ along).T / (width, height) + (value["x"], value["y"])
        flat: list[float] = (corners * (width, height) / 100).flatten().tolist()
        return flat

    def get_area(self) -> float:
        """Pixels of a stroke, or inside an outline."""
        if self.type.name == "mask":
            return float(self.image.sum()) if self._fits else 0.0
        x, y = np.reshape(self.as_polygon(), (-1, 2)).T
        return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2


def _tasks(path: Path) -> Iterator[dict[str, Any]]:
    """One task at a time: the file may be larger than the memory."""
    import json_stream  # comes with Datumaro

    with path.open(encoding="utf-8") as file:
        for task in json_stream.load(file):
            plain = json_stream.to_standard_types(task)
            if isinstance(plain, dict):
                yield plain if "annotations" in plain else _unfolded(plain)


def _unfolded(task: dict[str, Any]) -> dict[str, Any]:
    """A task of JSON-MIN as JSON has it."""
    results = [
        {**area, "type": next((key for key in area if key.endswith("labels")), name), "value": area}
        for name, areas in task.items()
        for area in (areas if isinstance(areas, list) else ())
        if isinstance(area, dict)
    ]
    data = {name: value for name, value in task.items() if isinstance(value, str)}
    return {"id": task.get("id", ""), "data": data, "annotations": [{"result": results}]}


def _done(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in task.get("annotations", ()) if not each.get("was_cancelled")]


def _results(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What the first annotator said who did not skip the task."""
    return [result for each in _done(task)[:1] for result in each.get("result", ()) if "value" in result]


def _labels(result: Mapping[str, Any]) -> list[str]:
    return [str(label) for label in result["value"].get(str(result.get("type")), ())] if _is_area(result) else []


def _is_area(result: Mapping[str, Any]) -> bool:
    return result.get("type") in ("brushlabels", "polygonlabels", "ellipselabels")


def _names(value: str) -> list[str]:
    """What an address may be called in the folder."""
    name = unquote(value).replace("\\", "/").rsplit("/", 1)[-1]
    return [name, _UPLOADED.sub("", name, count=1)]


def _size(result: Mapping[str, Any]) -> tuple[int, int]:
    return int(result["original_height"]), int(result["original_width"])


def _annotation(result: Mapping[str, Any], index: Mapping[str, int], fits: bool) -> Other:
    if not _is_area(result):
        kind = str(result.get("type"))
        return Other(_LOST.get(kind, kind))
    return Area(result, next((index[label] for label in _labels(result) if label in index), None), fits=fits)
