"""What small students cost on a CPU; `segdistill list` shows it.

    python -m benchmarks.students --note "shared machine"

Writes ``src/segdistill/measure/students.json``; `segdistill list --measure` measures without writing.
"""

import argparse
import json
from pathlib import Path

import torch

from benchmarks.harness import environment
from segdistill import measure

OUT = Path(measure.__file__).with_name("students.json")


def main() -> None:
    """Measure all, write once."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.students", description=__doc__)
    parser.add_argument("--repeats", type=int, default=10, help="passes that a median is over")
    parser.add_argument("--note", default="", help="kept in the file, for example: machine shared")
    given = parser.parse_args()
    students = []
    for student in measure.measure_students(repeats=given.repeats):
        students.append(student._asdict())
        print(f"{student.source}:{student.name} {student.macs / 1e9:.2f} GMAC {student.ms:.1f} ms", flush=True)
    about = environment(torch.device("cpu")) | {"threads": 1, "note": given.note}
    OUT.write_text(json.dumps({"environment": about, "students": students}, indent=1) + "\n")


if __name__ == "__main__":
    main()
