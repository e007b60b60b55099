"""What tests of the documentation read of a page."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SAMPLE = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def samples(text, language):
    """Code of every fenced block of a language, without the indent of a list around it."""
    found = [code for name, code in SAMPLE.findall(text) if name == language]
    return [re.sub(rf"^{re.match(' *', code).group()}", "", code, flags=re.MULTILINE) for code in found]


def rows(text):
    """Cells of every table line."""
    lines = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("|---")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
