"""Files of ONNX, OpenVINO and torch.export that `segdistill export` wrote, read back as networks."""

from segdistill.networks.exported.facts import EXPORT_KEY, FORMAT, ExportFacts, ExportOutput, ImageLayout
from segdistill.networks.exported.reading import EXPORTED, Exported, read_exported
from segdistill.networks.exported.runtimes import need_runtime

__all__ = [
    "EXPORTED",
    "EXPORT_KEY",
    "FORMAT",
    "ExportFacts",
    "ExportOutput",
    "Exported",
    "ImageLayout",
    "need_runtime",
    "read_exported",
]
