"""Write ``docs/performance.md`` from the measured files: ``python -m benchmarks.render``."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results"
PAGE = ROOT / "docs/performance.md"

Record = dict[str, Any]
MISSING = "not measured yet"

INTRODUCTION = """\
# Performance

Af-DCD as published costs more than the teacher that it learns from: its generator alone is 618 GMAC an image of
512 x 1024, against 516 for the teacher and 129 for the student. The package computes the same numbers with less work.
This page is written by `python -m benchmarks.render` from the files in `benchmarks/results`; it has no number of its own.

## What is done

| part | as published | here |
|---|---|---|
| projection | its own convolution; a map of 2048 channels is kept | folded into the kernel of the first 3x3 convolution, composed anew at every step: the convolution reads the student's few channels |
| mask | three quarters of the first convolution multiply zeros | on a CPU only visible positions are multiplied; on a GPU a dense convolution on tensor cores |
| 3x3 convolutions | 9 multiplications an output | on a CPU Winograd's F(2x2, 3x3), 4 an output, with rounding no larger; on a GPU cuDNN's choice |
| mimicking | differences and squares of the batch are kept | image by image; the backward pass makes them again |
| contrast | all distances of all patches, gathered by masks; on a GPU its backward pass holds patches x 256 x 256 x 128 numbers | one operator that gives value and gradient: on a GPU a Triton kernel that holds distances in registers; on a CPU a row of patches at a time, compiled where a C++ compiler is found |
| precision | float32 | under autocast the generator's convolutions are in its precision, both losses in float32 or more |
| teacher | float32, batch normalisation at every step | normalisation folded, weights cast once; see [the distiller](distiller.md) |

`impl="auto"` takes all of it, `impl="reference"` none, `impl="fused"` refuses to run without. The reference of these
tables is none of the package's: it is written in `benchmarks/reference` the way the authors' code computes, and both get
the same tensors in turn, in one process. Before anything is measured, values and gradients of both are compared.
"""

TARGETS = (
    ("contrast, forward + backward", "time", "contrast", {"distance": "l1", "negatives": "other_groups"}, ("3x", "10x", "15x")),
    ("contrast, extra peak memory", "memory", "contrast", {"distance": "l1", "negatives": "other_groups"}, ("0.25", "0.05", "0.05")),
    ("whole Af-DCD loss, 512 -> 2048", "time", "loss", {"student_channels": 512}, ("1.6x", "2x", "4x")),
    ("whole Af-DCD loss, 320 -> 2048", "time", "loss", {"student_channels": 320}, ("1.8x", "2.2x", "4.5x")),
    ("training step, R101 -> R18, 512x1024, batch 16", "time", "step", {"batch": 16}, ("-", "1.5x", "2.5x")),
    ("peak memory of that step", "step memory", "step", {"batch": 16}, ("-", "0.6", "0.35")),
)  # fmt: skip


def main() -> None:
    """Write the page."""
    records = {name: _read(RESULTS / f"{name}.json") for name in ("cpu", "gpu", "loader_cpu")}
    PAGE.write_text(render(records))
    print(PAGE.relative_to(ROOT))


def render(records: dict[str, Record | None]) -> str:
    """The page for the records of ``cpu``, ``gpu`` and ``loader_cpu``; None where there is none.

    Raises:
        ValueError: If a record was made without a comparison of the numbers.
    """
    for name in ("cpu", "gpu"):
        for subject, measured in (records[name] or {}).items():
            if not measured.get("parity"):
                raise ValueError(
                    f"{name}: {subject} was measured without parity; measure it again, nothing is reported."
                )
    sections = [INTRODUCTION, _targets(records["cpu"], records["gpu"])]
    for name, title in (("cpu", "CPU"), ("gpu", "GPU")):
        record = records[name]
        if record is None:
            sections.append(
                f"## {title}\n\nNot measured yet. On a machine with one: "
                f"`python -m benchmarks --out benchmarks/results/{name}.json && python -m benchmarks.render`."
            )
        else:
            sections += [_provenance(title, name, record), *_details(record)]
    if records["loader_cpu"] is not None:
        sections.append(_loader(records["loader_cpu"]))
    return "\n\n".join(section.strip() for section in sections) + "\n"


def _read(path: Path) -> Record | None:
    found: Record | None = json.loads(path.read_text()) if path.is_file() else None
    return found


def _targets(cpu: Record | None, gpu: Record | None) -> str:
    lines = [
        "## Targets and what is reached",
        "Times are how many times faster than the reference; memory is a share of the reference's. The range is over all "
        "measured sizes and batches, of the medians. On a GPU the reference runs in float32 with PyTorch's defaults "
        "(TF32 in convolutions).",
        "",
        "| | CPU, float32: aim | reached | GPU, float32: aim | reached | GPU, bf16: aim | reached |",
        "|---|---|---|---|---|---|---|",
    ]
    for title, what, subject, setting, aims in TARGETS:
        cells = []
        for aim, record, way in zip(aims, (cpu, gpu, gpu), ("ours", "ours", "ours bf16"), strict=True):
            cells += [aim, "-" if aim == "-" else _reached(record, subject, setting, way, what)]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _reached(record: Record | None, subject: str, setting: Record, way: str, what: str) -> str:
    if record is None or subject not in record:
        return MISSING
    values = []
    for case in record[subject]["cases"]:
        ratio = case["ratios"].get(way)
        if ratio is None or any(case[key] != value for key, value in setting.items()):
            continue
        if what == "time":
            values.append(ratio["time"]["median"])
        elif what == "memory":
            values.append(ratio["memory"])
        else:
            held = {
                name: case["ways"][name]["held_mb"] + case["ways"][name]["extra_peak_mb"] for name in (way, "reference")
            }
            values.append(held[way] / held["reference"])
    if not values:
        return MISSING
    pattern = "{:.1f}x" if what == "time" else "{:.2f}"
    ends = [pattern.format(value) for value in (min(values), max(values))]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def _provenance(title: str, name: str, record: Record) -> str:
    lines = [f"## {title}", "", f"From `benchmarks/results/{name}.json`; milliseconds are medians, MiB what torch's"]
    lines[-1] += " allocator held beyond what was there before. Ratios are medians of ratios of neighbouring runs, with"
    lines[-1] += " their quartiles."
    lines.append("")
    lines += ["| subject | device | threads | torch | Triton | commit | turns | largest difference (float64) | note |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for subject, measured in record.items():
        env, parity = measured["environment"], measured["parity"]
        lines.append(
            f"| {subject} | {env['device']} | {env['threads']} | {env['torch']} | {env['triton']} | {env['commit'][:10]}"
            f"{' with changes' if 'changes' in env['commit'] else ''} | {measured['turns']} | "
            f"{max(parity['contrast'], parity['loss']):.0e} | {measured['note']} |"
        )
    return "\n".join(lines)


def _details(record: Record) -> Iterable[str]:
    describe: dict[str, tuple[str, list[str], Callable[[Record], list[str]]]] = {
        "contrast": (
            "### The contrast alone",
            ["features", "batch", "distance", "negatives"],
            lambda c: [
                f"{c['map']}, pooled {c['pooled'][0]}x{c['pooled'][1]}",
                str(c["batch"]),
                c["distance"],
                c["negatives"],
            ],
        ),
        "loss": (
            "### The whole loss",
            ["channels", "features", "batch"],
            lambda c: [f"{c['student_channels']} -> {c['channels']}", c["map"], str(c["batch"])],
        ),
        "step": (
            "### A whole training step",
            ["crop", "batch", "networks"],
            lambda c: [f"{c['crop'][0]}x{c['crop'][1]}", str(c["batch"]), f"{c['teacher']} -> {c['student']}"],
        ),
    }
    for subject, (title, columns, cells) in describe.items():
        if subject in record:
            yield _table(title, columns, record[subject]["cases"], cells)
    if "growth" in record:
        yield _growth(record["growth"]["cases"])


def _table(title: str, columns: list[str], cases: list[Record], cells: Callable[[Record], list[str]]) -> str:
    head = [*columns, "way", "forward ms", "backward ms", "both ms", "times faster", "MiB", "share of memory"]
    lines = [title, "", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for case in cases:
        for name, way in case["ways"].items():
            if isinstance(way, str):
                numbers = [way, "", "", "", "", ""]
            else:
                ratio = case["ratios"].get(name)
                time = "" if ratio is None else "{median:.2f} [{q25:.2f}, {q75:.2f}]".format(**ratio["time"])
                share = "" if ratio is None or ratio["memory"] is None else f"{ratio['memory']:.2f}"
                times = [f"{way[part]['median']:.1f}" for part in ("forward", "backward", "both")]
                numbers = [*times, time, f"{way['extra_peak_mb']:.0f}", share]
            lines.append("| " + " | ".join([*cells(case), name, *numbers]) + " |")
    return "\n".join(lines)


def _growth(cases: list[Record]) -> str:
    lines = [
        "### Growth",
        "",
        "Ours alone. Linear growth keeps the last two columns level.",
        "",
        "| of | along | amount | ms | MiB | ms / amount | MiB / amount |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in sorted(cases, key=lambda c: (c["of"], c["along"], c["amount"])):
        way, amount = case["ways"]["ours"], case["amount"]
        ms, mib = way["both"]["median"], way["extra_peak_mb"]
        lines.append(
            f"| {case['of']} | {case['along']} | {amount} | {ms:.1f} | {mib:.0f} | {ms / amount:.4g} | {mib / amount:.4g} |"
        )
    return "\n".join(lines)


def _loader(record: Record) -> str:
    rates = record["crops_per_s_from_one_worker"]
    lines = [
        "## Loading",
        "",
        f"From `benchmarks/results/loader_cpu.json` (`python -m benchmarks.loader`, {record['device']}, one thread, commit "
        f"{record['commit'][:10]}): crops of {record['crop_size'][0]}x{record['crop_size'][1]} out of PNG images of "
        f"{record['image_size'][0]}x{record['image_size'][1]}, decoded, scaled and cropped, a second and core. One worker "
        f"process hands out {rates['window']:.0f} a second, and {rates['cached']:.0f} from a cache that `segdistill prepare` made.",
        "",
        "| way | crops a second | ms a crop |",
        "|---|---|---|",
    ]
    for name, way in record["ways"].items():
        lines.append(f"| {name} | {way['crops_per_s']} | {way['ms_a_crop']['all']['median']} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
