"""Names and formats of the files of a run folder. Standard library only, so that reports need no torch.

=======================  ==============================================================================
``recipe.yaml``          the resolved recipe, written before anything else
``environment.json``     versions, device, commit, command line
``metrics.jsonl``        ``{"step", "loss", "lr", "parts": {...}}`` every ``log_every`` steps and
                         ``{"step", "val": {...}}`` every validation. Nothing in it depends on the clock:
                         a resumed run ends with the same bytes as an uninterrupted one.
``timing.jsonl``         ``{"step", "seconds", "images_per_s", ...}`` at the same steps
``checkpoints/last``     one file with all that is needed to continue; ``checkpoints/best`` likewise
``student.safetensors``  the best network alone, with its architecture and label table in the header
``result.json``          scores, protocol, cost; its presence says that the run is complete
``confusion.json``       ``{"matrix": [[...]]}``, pixels by true class (row) and predicted class (column)
``images.json``          ``{"images": [{"name", "miou"}]}``, every evaluated image
``analysis.safetensors`` features of a sample of cells: ``student.<name>``, ``teacher.<name>``, ``class``, ``image``
``gallery/``             ``image_000.png``, ``truth_000.png``, ``prediction_000.png``, ..., and ``gallery.json``
``failed.json``          ``{"error"}`` of a run of a comparison that could not be finished
``events.log``           warnings and messages
=======================  ==============================================================================
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segdistill.files import write_atomic

RECIPE = "recipe.yaml"
ENVIRONMENT = "environment.json"
METRICS = "metrics.jsonl"
TIMING = "timing.jsonl"
LAST = "checkpoints/last/state.safetensors"
BEST = "checkpoints/best/state.safetensors"
STUDENT = "student.safetensors"
RESULT = "result.json"
CONFUSION = "confusion.json"
IMAGES = "images.json"
ANALYSIS = "analysis.safetensors"
GALLERY = "gallery"
GALLERY_INDEX = "gallery/gallery.json"
FAILED = "failed.json"
EVENTS = "events.log"
COMPARISON = "comparison.json"  # of a folder of runs


class RunError(ValueError):
    """A folder is not the run that was asked for; the message says what is missing."""


def write_text(path: Path, text: str) -> None:
    """Replace a text file in one step."""
    write_atomic(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically; NaN is refused, since it is not JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file of a run.

    Raises:
        RunError: If it is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} does not exist: {path.parent} is not a complete run folder.") from None
    except ValueError as error:
        raise RunError(f"{path} is not valid JSON ({error}).") from None


def append_record(path: Path, record: dict[str, Any]) -> None:
    """Append one line to a ``.jsonl`` file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, allow_nan=False) + "\n")


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a ``.jsonl`` file; a last line cut short by a crash is left out."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record


def drop_records_after(path: Path, step: int) -> None:
    """Remove the records of steps that a resumed run will do again."""
    if path.exists():
        kept = [record for record in read_records(path) if record["step"] <= step]
        write_text(path, "".join(json.dumps(record) + "\n" for record in kept))


def is_complete(run: Path) -> bool:
    """True if the run ended and wrote its result."""
    return (run / RESULT).is_file()
