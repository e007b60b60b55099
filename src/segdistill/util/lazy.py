"""Names of a package that load on first use, so that importing it stays cheap."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A module-level ``__getattr__`` (PEP 562) that imports a name from its home when it is first asked for.

    Args:
        package: ``__name__`` of the package.
        homes: Module of every name, absolute; a name whose home is ``package.name`` is that module itself.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(homes[name])
        return module if homes[name] == f"{package}.{name}" else getattr(module, name)

    return load
