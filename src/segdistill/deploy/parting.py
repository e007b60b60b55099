"""Where an ONNX graph and the network part: the first layer whose values differ."""

from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from segdistill.deploy.formats import to_onnx
from segdistill.networks import need_runtime

FLOOR: Final = 1e-6
"""Of the largest value of a layer: smaller ones are taken as this large."""


def first_apart(program: ExportedProgram, path: Path, image: Tensor, opset: int, limit: float) -> str | None:
    """Name the first layer whose values in the file differ from the network's by more than a share of the largest.

    The exporter names the values of the graph after the operations of the program, so the two are compared one by one.

    Args:
        program: The graph that the file was written from.
        path: The file.
        image: As the file takes it.
        opset: Of the file.
        limit: As in `prove`.

    Returns:
        Layer and operation, in words; None if no named value differs.
    """
    onnx, runtime = need_runtime("onnx", f"{path}"), need_runtime("onnxruntime", f"{path}")
    decomposed = to_onnx(program, opset, "output").exported_program
    expected = _Watched(decomposed.module())
    with torch.no_grad():
        expected.run(image)
    model = onnx.load(path)
    written = {name for node in model.graph.node for name in node.output}
    names = [name for name in expected.values if name in written]
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL  # which would merge layers
    options.log_severity_level = 4
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    for name, found in zip(names, session.run(names, {"image": image.numpy()}), strict=True):
        wanted = expected.values[name]
        given = torch.from_numpy(found)
        if given.shape != wanted.shape:
            return f"{expected.layers[name]} (shape {tuple(given.shape)} for {tuple(wanted.shape)})"
        if (given - wanted).abs().max() > limit * max(float(wanted.abs().max()), FLOOR):
            return expected.layers[name]
    return None


class _Watched(fx.Interpreter):
    """Runs a graph and keeps what its operations give."""

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self.values: dict[str, Tensor] = {}
        self.layers: dict[str, str] = {}

    def run_node(self, n: fx.Node) -> Any:
        """As the interpreter; floating maps are kept, in the order in which they are computed."""
        found = super().run_node(n)
        if n.op == "call_function" and isinstance(found, Tensor) and found.is_floating_point():
            self.values[n.name] = found
            stack = list(n.meta.get("nn_module_stack", {}).values())
            layer = str(stack[-1][0]) if stack else ""
            self.layers[n.name] = (
                f"layer {layer.removeprefix('network.module.')!r}, operation {n.name}" if layer else n.name
            )
        return found
