"""Measure everything on this machine, on its GPU if there is one.

python -m benchmarks --out benchmarks/results/cpu.json

However it ends, it leaves the file and a page: ``docs/performance.md`` for a file of ``benchmarks/results``, else one
beside it. What went wrong is written where the numbers would be, and the command ends with 1.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks import contrast, growth, loss, render, step
from benchmarks.harness import environment
from benchmarks.parity import parity
from benchmarks.small import shrink

SUBJECTS = {"contrast": contrast.run, "loss": loss.run, "step": step.run, "growth": growth.run}


def main() -> int:
    """Check parity, measure, write after every case; 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON; subjects not measured now stay as they are")
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--turns", type=int, default=5, help="measurements of each way")
    parser.add_argument("--batches", type=int, nargs="+", help="images a case [default: as many as the device suits]")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="of the CPU [default: torch's choice]")
    parser.add_argument("--note", default="", help="kept in the file, for example: machine shared")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the command")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    if given.small:
        shrink()
    device = torch.device(given.device)
    record = json.loads(given.out.read_text()) if given.out.is_file() else {}
    about = {"environment": environment(device), "turns": given.turns, "note": given.note}
    try:
        about["parity"] = parity(device)
        print("parity:", ", ".join(f"{name} {value:.1e}" for name, value in about["parity"].items()))
    except Exception as error:  # whatever it is, it is to be read in the file
        about |= {"parity": None, "error": f"parity: {_words(error)}"}
    for subject in given.only:
        record[subject] = {**about, "cases": []}
        _write(given.out, record)
        if about["parity"]:
            _measure(subject, record, given, device)
    page = render.PAGE if given.out.parent.resolve() == render.RESULTS.resolve() else given.out.with_suffix(".md")
    others = render.read() if page == render.PAGE else dict.fromkeys(render.read())
    page.write_text(render.render(others | {device.type.replace("cuda", "gpu"): record}))
    failed = [f"{subject}: {record[subject]['error']}" for subject in given.only if "error" in record[subject]]
    print("\n".join([*failed, f"{given.out}, {page}"]))
    return int(bool(failed))


def _measure(subject: str, record: dict[str, Any], given: argparse.Namespace, device: torch.device) -> None:
    """All cases of a subject, each written when it is done; what ends them is written too."""
    torch.manual_seed(0)
    batches = tuple(given.batches) if given.batches else None
    try:
        for measured in SUBJECTS[subject](device, turns=given.turns, batches=batches):
            record[subject]["cases"].append(measured)
            _write(given.out, record)
            print(subject, _line(measured), flush=True)
    except Exception as error:  # the other subjects are measured all the same
        record[subject]["error"] = _words(error)
        _write(given.out, record)


def _write(out: Path, record: dict[str, Any]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=1) + "\n")


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _line(case: dict) -> str:
    setting = " ".join(f"{key}={value}" for key, value in case.items() if key not in ("ways", "ratios"))
    times = ", ".join(f"{name} {_numbers(way)}" for name, way in case["ways"].items())
    ratios = ", ".join(f"{name} x{ratio['time']['median']:.2f}" for name, ratio in case["ratios"].items())
    return f"{setting}: {times}" + (f" ({ratios})" if ratios else "")


def _numbers(way: dict | str) -> str:
    return way if isinstance(way, str) else f"{way['both']['median']:.1f} ms {way['extra_peak_mb']} MiB"


if __name__ == "__main__":
    sys.exit(main())
