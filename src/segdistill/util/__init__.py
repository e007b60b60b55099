"""What every room may use: errors, files written whole, locks, seeds, words. Imports the standard library alone."""

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
from segdistill.util.files import write_atomic
from segdistill.util.lazy import lazy
from segdistill.util.lock import lock
from segdistill.util.names import nearest
from segdistill.util.sealing import seal, unsealed
from segdistill.util.seeds import seed_of
from segdistill.util.words import quote, ranges, shorten

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
    "quote",
    "ranges",
    "seal",
    "seed_of",
    "shorten",
    "unsealed",
    "write_atomic",
]
