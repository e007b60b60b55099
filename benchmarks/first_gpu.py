"""The first minutes on a GPU, as one command: what must be known of it, in the order in which it matters.

    PYTHONPATH=src python -m benchmarks.first_gpu --out DIR

Every part is a process of its own, so that one that fails takes no other with it. What it says is in DIR, and
`first_gpu.json` says of each part whether it was done, skipped and why, or failed and with which words.
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.harness import environment

ROOT = Path(__file__).parent.parent
LIBRARIES = ("torch", "triton", "timm", "accelerate", "pytest", "torchvision", "pydantic", "omegaconf", "plotly")
NCU_SECTIONS = ("SpeedOfLight", "MemoryWorkloadAnalysis", "ComputeWorkloadAnalysis", "LaunchStats", "Occupancy")
LAST = 15  # lines of a failed part that the summary repeats


class Part(NamedTuple):
    """One of the things to do.

    Attributes:
        name: Also that of its text file.
        command: The program and its words.
        obstacle: Why it cannot be done here; None: it can.
        settings: Of its environment.
    """

    name: str
    command: list[str]
    obstacle: str | None
    settings: dict[str, str]


def main() -> int:
    """Do every part, write after each; 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_gpu", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder; parts not done now stay as they are")
    parser.add_argument("--only", nargs="+", metavar="PART", help="some of: " + ", ".join(NAMES))
    parser.add_argument("--device", default="cuda", help="cpu: to try the command, with --small")
    parser.add_argument("--turns", type=int, default=3, help="measurements of each way")
    parser.add_argument("--limit", type=float, default=3600, help="seconds that a part may take")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the command")
    given = parser.parse_args()
    if unknown := set(given.only or ()) - set(NAMES):
        parser.error(f"`--only` must name parts among {', '.join(NAMES)}; got {', '.join(sorted(unknown))}.")
    given.out.mkdir(parents=True, exist_ok=True)
    summary = given.out / "first_gpu.json"
    record = json.loads(summary.read_text()) if summary.is_file() else {"parts": {}}
    device = torch.device(given.device if given.device != "cuda" or torch.cuda.is_available() else "cpu")
    record["environment"] = environment(device)
    for part in parts(given.out, given.device, given.turns, given.small):
        if given.only and part.name not in given.only:
            continue
        record["parts"][part.name] = result = done(part, given.out, given.limit)
        summary.write_text(json.dumps(record, indent=1) + "\n")
        print(f"{part.name}: {_sentence(result)}", flush=True)
    return int(any(result["state"] == "failed" for result in record["parts"].values()))


def parts(out: Path, device: str, turns: int, small: bool) -> list[Part]:
    """All parts, in order."""
    python = [sys.executable, "-m"]
    tiny = ["--small"] if small else []
    measure = [*python, "benchmarks", "--device", device, "--turns", str(turns), *tiny, "--out"]
    profiled = [*python, "benchmarks.profiled"]
    batch = [] if small else ["--batches", "16"]
    missing = None if device != "cuda" or torch.cuda.is_available() else "torch finds no CUDA device"
    gpu = missing or (None if device == "cuda" else f"it needs a GPU, and the device is {device!r}")
    commands = {
        "facts": ([*python, "benchmarks.first_gpu", "--facts"], None),
        "parity": ([*python, "benchmarks.parity", "--device", device], missing),
        "step": ([*measure, str(out / "step.json"), "--only", "step", *batch], missing),
        "contrast and loss": ([*measure, str(out / "gpu.json"), "--only", "contrast", "loss"], missing),
        "profile": ([*profiled, "step", "--device", device, *tiny, "--out", str(out / "profile_table.txt")], missing),
        "nsight compute": (
            ["ncu", "--kernel-name", "regex:_contrast_kernel", *_sections(), *profiled, "contrast", *tiny],
            gpu or _lacks("ncu", shutil.which("ncu")),
        ),
        "tests": (
            [*python, "pytest", "-m", "gpu", "-o", "addopts=--import-mode=importlib", "-ra", "-q", "tests"],
            gpu or _lacks("pytest", importlib.util.find_spec("pytest")),
        ),
        "rest": ([*measure, str(out / "gpu.json"), "--only", "step", "growth"], missing),
    }  # fmt: skip
    settings = {"tests": {"TRITON_INTERPRET": "0"}}
    return [Part(name, *commands[name], settings.get(name, {})) for name in NAMES]


NAMES = ("facts", "parity", "step", "contrast and loss", "profile", "nsight compute", "tests", "rest")


def done(part: Part, out: Path, limit: float) -> dict[str, Any]:
    """Do one part: its state, and what goes with it."""
    if part.obstacle:
        return {"state": "skipped", "reason": part.obstacle}
    file = out / f"{part.name.replace(' ', '_')}.txt"
    about = {"file": file.name, "command": " ".join(part.command)}
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    start = time.perf_counter()
    with file.open("w") as text:
        try:
            code: int | str = subprocess.run(
                part.command, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths, **part.settings}, stdout=text,
                stderr=subprocess.STDOUT, timeout=limit,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            code = f"it took longer than {limit:g} s (`--limit`)"
        except OSError as error:
            code = str(error)
    about["seconds"] = round(time.perf_counter() - start, 1)
    if code == 0:
        return {"state": "done", **about}
    last = file.read_text(errors="replace").strip().splitlines()[-LAST:]
    ended = f"it ended with code {code}" if isinstance(code, int) else code
    return {"state": "failed", "error": ended, "last lines": last, **about}


def facts() -> None:
    """Print what the machine is: its GPU, shared memory, versions."""
    for command in (["nvidia-smi"], ["df", "-h", "/dev/shm"], ["uname", "-a"]):
        print("$", *command, flush=True)
        try:
            print(subprocess.run(command, capture_output=True, text=True).stdout)
        except OSError as error:
            print(f"{error}\n")
    for name in LIBRARIES:
        print(name, _version(name))
    for program in ("ncu", "gcc", "c++", "git"):
        print(program, shutil.which(program))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(json.dumps(environment(device), indent=1))
    if device.type == "cuda":
        print(torch.cuda.get_device_properties(device))


def _sections() -> list[str]:
    return [word for section in NCU_SECTIONS for word in ("--section", section)]


def _lacks(program: str, found: object) -> str | None:
    return None if found else f"{program} is not installed"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _sentence(result: dict[str, Any]) -> str:
    why = result.get("reason") or result.get("error")
    return result["state"] + (f": {why}" if why else f" in {result['seconds']} s, see {result['file']}")


if __name__ == "__main__":
    sys.exit(facts() if sys.argv[1:] == ["--facts"] else main())
