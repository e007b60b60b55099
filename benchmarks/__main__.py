"""Measure everything on this machine, on its GPU if there is one.

python -m benchmarks --out benchmarks/results/cpu.json
python -m benchmarks.render
"""

import argparse
import json
from pathlib import Path

import torch

from benchmarks import contrast, growth, loss, step
from benchmarks.harness import environment
from benchmarks.parity import parity

SUBJECTS = {"contrast": contrast.run, "loss": loss.run, "step": step.run, "growth": growth.run}


def main() -> None:
    """Check parity, measure, write after every case."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON; subjects not measured now stay as they are")
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--turns", type=int, default=5, help="measurements of each way")
    parser.add_argument("--batches", type=int, nargs="+", help="images a case [default: as many as the device suits]")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="of the CPU [default: torch's choice]")
    parser.add_argument("--note", default="", help="kept in the file, for example: machine shared")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    record = json.loads(given.out.read_text()) if given.out.is_file() else {}
    found = parity(device)
    print("parity:", ", ".join(f"{name} {value:.1e}" for name, value in found.items()))
    batches = tuple(given.batches) if given.batches else None
    for subject in given.only:
        torch.manual_seed(0)
        record[subject] = {
            "environment": environment(device), "turns": given.turns, "note": given.note, "parity": found, "cases": [],
        }  # fmt: skip
        for measured in SUBJECTS[subject](device, turns=given.turns, batches=batches):
            record[subject]["cases"].append(measured)
            given.out.parent.mkdir(parents=True, exist_ok=True)
            given.out.write_text(json.dumps(record, indent=1) + "\n")
            print(subject, _line(measured), flush=True)


def _line(case: dict) -> str:
    setting = " ".join(f"{key}={value}" for key, value in case.items() if key not in ("ways", "ratios"))
    times = ", ".join(f"{name} {_numbers(way)}" for name, way in case["ways"].items())
    ratios = ", ".join(f"{name} x{ratio['time']['median']:.2f}" for name, ratio in case["ratios"].items())
    return f"{setting}: {times}" + (f" ({ratios})" if ratios else "")


def _numbers(way: dict | str) -> str:
    return way if isinstance(way, str) else f"{way['both']['median']:.1f} ms {way['extra_peak_mb']} MiB"


if __name__ == "__main__":
    main()
