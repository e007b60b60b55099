"""What runs an exported file: onnxruntime, OpenVINO, torch. Each gives the file's text and a function on arrays."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch

from segdistill.networks.arguments import require
from segdistill.networks.exported.facts import EXPORT_KEY
from segdistill.networks.exported.programs import refuse_code
from segdistill.util import WeightsError

Array = np.ndarray[Any, Any]
Run = Callable[[Array], Array]


class Opened(NamedTuple):
    """An exported file, ready to run.

    Attributes:
        text: What it says of itself; None if nothing.
        run: From an image, as the text says, to the output.
    """

    text: str | None
    run: Run


def need_runtime(name: str, needed_by: str) -> Any:
    """Import one of the libraries of the extra ``deploy``; errors as of `require`."""
    return require(name, needed_by=needed_by, extra="deploy")


def open_onnx(path: Path) -> Opened:
    """By onnxruntime on the CPU, with as many threads as torch uses."""
    runtime = need_runtime("onnxruntime", f"{path}")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what is wrong comes as an exception, too
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(image: Array) -> Array:
        found: Array = session.run(None, {name: image})[0]
        return found

    return Opened(session.get_modelmeta().custom_metadata_map.get(EXPORT_KEY), run)


def open_openvino(path: Path) -> Opened:
    """By OpenVINO on the CPU in float32; left alone it would choose bfloat16 where the processor has it."""
    openvino = need_runtime("openvino", f"{path}")
    core = openvino.Core()
    model = core.read_model(path)
    text = model.get_rt_info(EXPORT_KEY).astype(str) if model.has_rt_info(EXPORT_KEY) else None
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = core.compile_model(model, "CPU", settings)

    def run(image: Array) -> Array:
        found: Array = compiled(image)[0]
        return found

    return Opened(text, run)


def open_program(path: Path) -> Opened:
    """By torch, after `refuse_code` has looked into the archive."""
    refuse_code(path)
    said = {f"{EXPORT_KEY}.json": ""}
    # Guards are code in the file; the sizes are checked by the graph itself.
    module = torch.export.load(path, extra_files=said).module(check_guards=False)

    def run(image: Array) -> Array:
        with torch.no_grad():
            found: Array = module(torch.from_numpy(image)).numpy()
        return found

    return Opened(said[f"{EXPORT_KEY}.json"] or None, run)


RUNTIMES: Final[dict[str, Callable[[Path], Opened]]] = {
    ".onnx": open_onnx,
    ".xml": open_openvino,
    ".pt2": open_program,
}
"""By the ending of the file."""


def open_exported(path: Path) -> Opened:
    """Open a file by its ending.

    Raises:
        WeightsError: If its library cannot read it.
    """
    try:
        return RUNTIMES[path.suffix](path)
    except (RuntimeError, ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        if isinstance(error, WeightsError):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"{path} cannot be read as a {path.suffix} file: {reason}") from error
    except Exception as error:  # onnxruntime's own
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        raise WeightsError(f"{path} cannot be read by onnxruntime: {str(error).splitlines()[0]}") from error
