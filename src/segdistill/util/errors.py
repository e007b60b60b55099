"""Everything that a user can mend: one tree of errors, whose messages are sentences.

A message names the thing, the rule, the value found and the remedy. The command line shows it without a traceback;
any other exception is a fault of ours and keeps its traceback. Each error is also the built-in one that a Python
programmer would expect.
"""

import signal
from pathlib import Path


class SegdistillError(Exception):
    """The root of the tree."""


class ArgumentError(SegdistillError, ValueError):
    """An argument that cannot be: a name, number, shape or combination."""


class RecipeError(SegdistillError, ValueError):
    """A recipe that cannot be; the message names the key, the rule, the value and the remedy."""


class DataError(SegdistillError, ValueError):
    """A file of a data set is missing, damaged or does not fit the others.

    Attributes:
        path: The file, or the root of the data set if no single file is to blame.
        problem: What is wrong, as the rest of a sentence that starts with the path.
        remedy: What to do about it: a sentence.
    """

    def __init__(self, path: Path | str, problem: str, remedy: str) -> None:
        assert problem, path
        assert remedy, f"{path} {problem}"
        super().__init__(path, problem, remedy)
        self.path, self.problem, self.remedy = Path(path), problem, remedy

    def __str__(self) -> str:
        return f"`{self.path}` {self.problem}. {self.remedy}"


class DatasetNotFoundError(SegdistillError, FileNotFoundError):
    """The root of a data set, or a folder or list that its layout needs, is not there."""


class ImageError(SegdistillError, ValueError):
    """An image that cannot be read or used; the message names it."""


class NetworkError(SegdistillError, ValueError):
    """A network that has no such feature, gives something that cannot be read, or cannot be built."""


class FoldError(NetworkError):
    """A network whose batch normalisation cannot be folded; the message says why."""


class WeightsError(SegdistillError, ValueError):
    """A file of weights that is damaged, of another kind, or does not fit the network."""


class MissingFileError(SegdistillError, FileNotFoundError):
    """A file that was named is not there."""


class CheckpointError(SegdistillError, ValueError):
    """A checkpoint that cannot be written or read; the message says why."""


class RunError(SegdistillError, ValueError):
    """A folder is not the run that was asked for; the message says what is missing."""


class NotFiniteError(SegdistillError, RuntimeError):
    """A loss became NaN or infinite; the message names the term and the step."""


class UnavailableError(SegdistillError, RuntimeError):
    """What was asked for cannot run here: the device, a library or the network connection is missing."""


class Stopped(SegdistillError):
    """A run was asked to stop, and saved its state.

    Attributes:
        step: Steps done.
        signum: The signal.
        remedy: How to go on: a sentence, or empty where the caller knows better.
    """

    def __init__(self, step: int, signum: int, remedy: str = "") -> None:
        text = f"stopped by {signal.Signals(signum).name} after step {step}; everything is saved."
        super().__init__(f"{text} {remedy}".strip())
        self.step, self.signum, self.remedy = step, signum, remedy
