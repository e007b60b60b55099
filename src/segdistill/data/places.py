"""Where pictures lie: a folder, or one of the same name in every scene."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

ANY: Final = "*"
"""Stands for a folder of any name, or in a name for any text."""


class Place(NamedTuple):
    """A folder, or the folders of a pattern.

    Attributes:
        folder: What lies above every file.
        pattern: The folders below it; the first has a ``*``. Empty for one folder.
    """

    folder: Path
    pattern: str = ""

    @classmethod
    def of(cls, root: Path, name: str) -> "Place":
        """The place that a name says, from the root or absolute.

        >>> Place.of(Path("drives"), "2024/*/rgb").pattern
        '*/rgb'
        """
        parts = Path(name).parts
        fixed = next((index for index, part in enumerate(parts) if ANY in part), len(parts))
        return cls(root.joinpath(*parts[:fixed]), "/".join(parts[fixed:]))

    @property
    def path(self) -> Path:
        """The place as it is said, for messages."""
        return self.folder / self.pattern

    def same_as(self, other: "Place") -> bool:
        """Whether it is the same place, though perhaps on another way."""
        return self.pattern == other.pattern and self.folder.samefile(other.folder)

    def folders(self) -> dict[str, Path]:
        """The folders that are there, sorted, by their scene: the names that ``*`` stands for, each with a ``/``."""
        found = {"": self.folder} if self.folder.is_dir() else {}
        for part in Path(self.pattern).parts:
            if ANY in part:
                found = {
                    f"{scene}{path.name}/": path
                    for scene, above in found.items()
                    for path in sorted(above.iterdir())
                    if path.name[0] != "." and fits(path.name, part) and path.is_dir()
                }
            else:
                found = {scene: above / part for scene, above in found.items() if (above / part).is_dir()}
        return found

    def file(self, key: str) -> Path:
        """Where the file of a key would be.

        >>> Place.of(Path("drives"), "*/rgb").file("monday/0001.png").as_posix()
        'drives/monday/rgb/0001.png'
        """
        pattern, names = Path(self.pattern).parts, list(Path(key).parts)
        if len(names) <= sum(ANY in part for part in pattern):
            return self.folder / key
        return self.folder.joinpath(*(names.pop(0) if ANY in part else part for part in pattern), *names)


def fits(name: str, part: str) -> bool:
    """Whether a folder's name fits a part of a pattern, in which ``*`` alone is special."""
    return fnmatchcase(name, part.replace("[", "[[]").replace("?", "[?]"))
