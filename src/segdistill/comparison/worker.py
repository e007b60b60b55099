"""One worker of a comparison: ``python -m segdistill.comparison.worker`` with its runs as JSON on standard input."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

from segdistill.comparison.execution import finish_all
from segdistill.comparison.planning import Own, Planned
from segdistill.recipe import parse_recipe
from segdistill.util import SegdistillError, Stopped, said


def main() -> int:
    """Do the runs that nobody else has; the exit code is that of the command line."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    given = json.load(sys.stdin)
    runs = [
        Planned(run["title"], parse_recipe(run["recipe"], run["title"]), Path(run["folder"]), Own(**run["own"]))
        for run in given["runs"]
    ]
    try:
        with said(given["command"]):
            for run in finish_all(runs, _show):
                print(f"{run.title}: done", flush=True)
    except Stopped as stop:
        print(stop, file=sys.stderr)
        return 128 + stop.signum
    except SegdistillError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _show(run: Planned, record: dict[str, Any]) -> None:
    if "grad_norms" not in record:
        print(f"{run.title}: step {record['step']}/{run.recipe.train.iterations}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
