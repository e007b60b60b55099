"""What every room may use: errors, files written whole, locks, seeds, words. Imports the standard library alone."""

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
from segdistill.util.files import write_atomic
from segdistill.util.lazy import lazy
from segdistill.util.lock import lock
from segdistill.util.names import nearest
from segdistill.util.quiet import without_cuda_notice
from segdistill.util.sealing import seal, unsealed
from segdistill.util.seeds import seed_of
from segdistill.util.words import first_line, quote, ranges, shorten

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
    "first_line",
    "lazy",
    "lock",
    "nearest",
    "quote",
    "ranges",
    "said",
    "seal",
    "seed_of",
    "shorten",
    "unsealed",
    "verb",
    "without_cuda_notice",
    "write_atomic",
]
