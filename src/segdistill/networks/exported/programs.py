"""Whether a ``.pt2`` archive is data alone.

``torch.export.load`` unpickles constants that are objects, and hands expressions over sizes to sympy, which evaluates
text. A program that `segdistill export` wrote needs neither more than arithmetic nor any object, so an archive that
holds more is refused before torch sees it.
"""

import ast
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from segdistill.util import WeightsError

LARGEST_JSON: Final = 64 * 2**20
_TARGETS: Final = re.compile(r"torch\.ops\.(aten|prim)\.[\w.]+|_operator\.\w+|math\.\w+|torch\.sym_\w+")
_SIZE: Final = re.compile(r"[a-z]{1,3}\d+")
_FUNCTIONS: Final = {
    "Abs", "Add", "And", "CeilToInt", "CleanDiv", "Eq", "Float", "FloatTrueDiv", "FloorDiv", "FloorToInt", "Ge", "Gt",
    "Identity", "IntTrueDiv", "Integer", "Le", "Lt", "Max", "Min", "Mod", "Mul", "Ne", "Not", "Or", "Piecewise", "Pow",
    "PowByNatural", "PythonMod", "Rational", "RoundToInt", "Symbol", "ToFloat", "TruncToInt", "Where", "ceiling",
    "floor",
}  # fmt: skip
_VALUES: Final = {"True", "False", "true", "false", "oo", "int_oo"}


def refuse_code(path: Path) -> None:
    """Refuse an archive that could run code when it is read.

    Raises:
        WeightsError: If it holds pickled objects, names a function that is none of torch's tensor functions, or an
            expression that is more than arithmetic; also if it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                kind = entry.filename.partition("/")[2]
                if kind.startswith("data/constants/") and "custom_obj" in kind:
                    raise WeightsError(f"{path} holds a pickled object ({kind}), which may run code. It is not read.")
                if kind.endswith(".json") and not kind.startswith("extra/"):
                    if entry.file_size > LARGEST_JSON:
                        raise WeightsError(
                            f"{path} must describe its program in {LARGEST_JSON} bytes; {kind} has more."
                        )
                    _refuse(json.loads(archive.read(entry)), path)
    except (zipfile.BadZipFile, ValueError, OSError, RecursionError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{path} must be a .pt2 archive of torch.export; it cannot be read ({error}).") from error


def _refuse(said: Any, path: Path) -> None:
    for key, value in _entries(said):
        if key == "use_pickle" and value:
            raise WeightsError(f"{path} holds pickled tensors, which may run code. It is not read.")
        if key == "target" and isinstance(value, str) and not _TARGETS.fullmatch(value):
            raise WeightsError(f"{path} calls {value!r}, which is none of torch's tensor functions. It is not read.")
        if key == "expr_str" and not _is_arithmetic(value):
            raise WeightsError(
                f"{path} holds the expression {value!r:.80}, which is more than arithmetic. It is not read."
            )


def _entries(said: Any) -> Iterator[tuple[str, Any]]:
    """Every pair of a key and a value, at any depth."""
    if isinstance(said, dict):
        for key, value in said.items():
            yield key, value
            yield from _entries(value)
    elif isinstance(said, list):
        for value in said:
            yield from _entries(value)


def _is_arithmetic(text: Any) -> bool:
    """Names of sizes, numbers and known functions of them, joined by operators."""
    try:
        tree = ast.parse(str(text), mode="eval")
    except SyntaxError:
        return False
    allowed = (
        ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Constant, ast.Name, ast.Load, ast.Call, ast.keyword,
        ast.operator, ast.unaryop, ast.cmpop,
    )  # fmt: skip
    for node in ast.walk(tree):
        if not isinstance(node, allowed):
            return False
        if isinstance(node, ast.Name) and node.id not in _FUNCTIONS | _VALUES and not _SIZE.fullmatch(node.id):
            return False
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not _SIZE.fullmatch(node.value):
            return False
        if isinstance(node, ast.Call) and not isinstance(node.func, ast.Name):
            return False
    return True
