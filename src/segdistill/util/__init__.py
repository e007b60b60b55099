"""What every room may use: errors, files written whole, names that are near. The standard library alone."""

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
    UnavailableError,
    WeightsError,
)
from segdistill.util.files import lock, write_atomic
from segdistill.util.lazy import lazy
from segdistill.util.names import nearest
from segdistill.util.sealing import seal, unsealed

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
    "UnavailableError",
    "WeightsError",
    "lazy",
    "lock",
    "nearest",
    "seal",
    "unsealed",
    "write_atomic",
]
