"""Writing a graph in the formats that other programs run."""

import contextlib
import io
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch.export import ExportedProgram

from segdistill.networks import EXPORT_KEY, ExportFacts, need_runtime
from segdistill.util import NetworkError

OPSETS: Final = (18, 23)
"""Smallest and largest opset of ONNX."""


class Format(NamedTuple):
    """A format.

    Attributes:
        suffix: Of its file.
        write: Writes a graph, with what it says of itself and the opset of ONNX, to a file.
        libraries: Whose versions matter.
    """

    suffix: str
    write: Callable[[ExportedProgram, Path, ExportFacts, int], None]
    libraries: tuple[str, ...]


def to_onnx(program: ExportedProgram, opset: int, output: str) -> Any:
    """The graph as ONNX in memory, by torch's exporter.

    Raises:
        NetworkError: If an operation has no such form.
    """
    try:
        with _quiet():
            return torch.onnx.export(
                program, dynamo=True, opset_version=opset, input_names=["image"], output_names=[output],
                external_data=False, verbose=False,
            )  # fmt: skip
    except Exception as error:
        reason = [line for line in str(error).splitlines() if line.strip()]
        raise NetworkError(f"the network cannot be written as ONNX: {(reason or ['unknown'])[-1]}") from error


def write_onnx(program: ExportedProgram, path: Path, facts: ExportFacts, opset: int) -> None:
    """ONNX; the text is a property of the model, with names and colours of the classes beside it."""
    made = to_onnx(program, opset, facts.output)
    model = made.model
    for node in model.graph.all_nodes():
        node.metadata_props.clear()  # paths of this machine
    model.metadata_props.update(
        {
            EXPORT_KEY: facts.text(),
            "classes": ", ".join(facts.labels.names),
            "colors": " ".join(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in facts.labels.colors),
            **facts.about,
        }
    )
    made.save(path, external_data=False)


def write_openvino(program: ExportedProgram, path: Path, facts: ExportFacts, opset: int) -> None:
    """OpenVINO's IR, ``.xml`` and ``.bin``, by way of ONNX; weights stay in float32."""
    openvino = need_runtime("openvino", "the format openvino")
    with tempfile.TemporaryDirectory() as folder:
        between = Path(folder) / "model.onnx"
        write_onnx(program, between, facts, opset)
        model = openvino.Core().read_model(between)  # `convert_model` would report to its makers that it was called
        model.set_rt_info(facts.text(), EXPORT_KEY)
        openvino.save_model(model, path, compress_to_fp16=False)


def write_program(program: ExportedProgram, path: Path, facts: ExportFacts, opset: int) -> None:
    """``torch.export``'s archive; the text is one of its extra files."""
    torch.export.save(program, path, extra_files={f"{EXPORT_KEY}.json": facts.text()})


FORMATS: Final[dict[str, Format]] = {
    "onnx": Format(".onnx", write_onnx, ("onnx", "onnxruntime", "onnxscript")),
    "openvino": Format(".xml", write_openvino, ("onnx", "openvino")),
    "torch": Format(".pt2", write_program, ()),
}
"""Every format by the name that ``--to`` takes."""


@contextlib.contextmanager
def _quiet() -> Iterator[Any]:
    """The exporter prints, and warns of its own deprecations."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
