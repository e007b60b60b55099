"""What every room may use: errors, files written whole, names that are near. The standard library alone."""

from segdistill.util.arguments import as_path, as_texts
from segdistill.util.commands import command, said, verb
from segdistill.util.errors import (
    ArgumentError,
    CheckpointError,
    DataError,
    DatasetNotFoundError,
    FoldError,
    ImageError,
    MissingFileError,
    NetworkError,
    NotFiniteError,
    RecipeError,
    RunError,
    SegdistillError,
    Stopped,
    UnavailableError,
    WeightsError,
)
from segdistill.util.files import lock, write_atomic
from segdistill.util.lazy import lazy
from segdistill.util.names import nearest

__all__ = [
    "ArgumentError",
    "CheckpointError",
    "DataError",
    "DatasetNotFoundError",
    "FoldError",
    "ImageError",
    "MissingFileError",
    "NetworkError",
    "NotFiniteError",
    "RecipeError",
    "RunError",
    "SegdistillError",
    "Stopped",
    "UnavailableError",
    "WeightsError",
    "as_path",
    "as_texts",
    "command",
    "lazy",
    "lock",
    "nearest",
    "said",
    "verb",
    "write_atomic",
]
