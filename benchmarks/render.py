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
PARTS = ("forward", "backward", "both")
NONE = "-"  # where there is no such thing

FEW = "in 1/8 of the directions"
CONTRAST = {"distance": "l1", "negatives": "other_groups"}
NARROW = {"student_channels": 512}
TARGETS = (
    ("contrast, forward + backward", "time", "contrast", CONTRAST, ("3x", "10x", "15x")),
    ("contrast, extra peak memory", "memory", "contrast", CONTRAST, ("0.25", "0.05", "0.05")),
    ("whole Af-DCD loss, 512 -> 2048", "time", "loss", {"student_channels": 512}, ("1.6x", "2x", "4x")),
    ("whole Af-DCD loss, 320 -> 2048", "time", "loss", {"student_channels": 320}, ("1.8x", "2.2x", "4.5x")),
    ("its memory, 512 -> 2048", "memory", "loss", {"student_channels": 512}, ("0.6", "-", "-")),
    ("its memory, 320 -> 2048", "memory", "loss", {"student_channels": 320}, ("0.6", "-", "-")),
    (f"{FEW}, 512 -> 2048", "time", "loss", NARROW, ("15x", "-", "-")),
    (f"{FEW}, its memory", "memory", "loss", NARROW, ("0.17", "-", "-")),
    ("training step, R101 -> R18, 512x1024, batch 16", "time", "step", {"batch": 16}, ("-", "1.5x", "2.5x")),
    ("peak memory of that step", "step memory", "step", {"batch": 16}, ("-", "0.6", "0.35")),
)  # fmt: skip


FIRST = """A GPU that nobody has tried yet is asked by one command, in the order of what must be known: its facts,
whether all numbers are right, a step, contrast and loss, where a step's time goes by operation and shape, Nsight
Compute on the contrast kernel, the tests that need a GPU, the rest of the benchmark. A part that fails stops no other,
and `DIR/first_gpu.json` says what became of each:

```bash
PYTHONPATH=src python -m benchmarks.first_gpu --out DIR
```"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(read()))
    print(PAGE.relative_to(ROOT))


def render(records: dict[str, Record | None]) -> str:
    """The page for the records of ``cpu``, ``gpu``, ``compiled`` and ``loader_cpu``; None where there is none.

    Raises:
        ValueError: If a record was made without a comparison of the numbers.
    """
    for name in ("cpu", "gpu"):
        for subject, measured in (records[name] or {}).items():
            if not measured.get("parity") and not measured.get("error"):
                raise ValueError(
                    f"{name}: {subject} was measured without parity; measure it again, nothing is reported."
                )
    introduction = (Path(__file__).parent / "introduction.md").read_text()
    sections = [introduction, _targets(records["cpu"], records["gpu"])]
    for name, title in (("cpu", "CPU"), ("gpu", "GPU")):
        record = records[name]
        if record is None:
            sections.append(
                f"## {title}\n\nNot measured yet. On a machine with one, where torch is all that is needed:\n\n"
                f"```bash\nPYTHONPATH=src python -m benchmarks --out benchmarks/results/{name}.json\n```"
            )
        else:
            sections += [_provenance(title, name, record), *_details(record)]
        if name == "gpu":
            sections.append(FIRST)
    if records.get("compiled") is not None:
        sections.append(_compiled(records["compiled"]))
    if records["loader_cpu"] is not None:
        sections.append(_loader(records["loader_cpu"]))
    return "\n\n".join(section.strip() for section in sections) + "\n"


def read() -> dict[str, Record | None]:
    """What was measured, of everything that may be."""
    files = {name: RESULTS / f"{name}.json" for name in ("cpu", "gpu", "compiled", "loader_cpu")}
    return {name: json.loads(file.read_text()) if file.is_file() else None for name, file in files.items()}


def _targets(cpu: Record | None, gpu: Record | None) -> str:
    lines = [
        "## Targets and what is reached",
        "",
        "Times are how many times faster than the reference; memory is a share of the reference's. The range is over",
        "the medians of all measured sizes and batches. On a GPU the reference runs in float32 with PyTorch's defaults",
        "(TF32 in convolutions).",
        "",
        "| | CPU, float32: aim | reached | GPU, float32: aim | reached | GPU, bf16: aim | reached |",
        "|---|---|---|---|---|---|---|",
    ]
    for title, what, subject, setting, aims in TARGETS:
        cells = []
        ways = 3 * (FEW,) if title.startswith(FEW) else ("ours", "ours", "ours bf16")
        for aim, record, way in zip(aims, (cpu, gpu, gpu), ways, strict=True):
            cells += [aim, "-" if aim == "-" else _reached(record, subject, setting, way, what)]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _reached(record: Record | None, subject: str, setting: Record, way: str, what: str) -> str:
    if record is None or subject not in record or not record[subject]["parity"]:
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
        worst = f"{max(parity['contrast'], parity['loss']):.0e}" if parity else NONE
        lines.append(
            f"| {subject} | {env['device']} | {env['threads']} | {env['torch']} | {env['triton'] or NONE} | "
            f"{_commit(env['commit'])} | {measured['turns']} | "
            f"{worst} | {measured['note'] or NONE} |"
        )
    for subject, measured in record.items():
        if "error" in measured:
            lines += ["", f"**{subject} ended before its end**: {measured['error']}"]
    return "\n".join(lines)


def _commit(commit: str | None) -> str:
    if commit is None:
        return NONE
    digits, *mark = commit.split(" ", 1)
    return " ".join([digits[:10], *mark])


def _details(record: Record) -> Iterable[str]:
    describe: dict[str, tuple[str, list[str], tuple[str, ...], Callable[[Record], list[str]]]] = {
        "contrast": (
            "### The contrast alone",
            ["features", "batch", "distance", "negatives"],
            PARTS,
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
            PARTS,
            lambda c: [f"{c['student_channels']} -> {c['channels']}", c["map"], str(c["batch"])],
        ),
        "step": (
            "### A whole training step",
            ["crop", "batch", "networks"],
            PARTS[-1:],  # a step is measured as a whole
            lambda c: [f"{c['crop'][0]}x{c['crop'][1]}", str(c["batch"]), f"{c['teacher']} -> {c['student']}"],
        ),
    }
    for subject, (title, columns, parts, cells) in describe.items():
        if subject in record:
            yield _table(title, columns, parts, record[subject]["cases"], cells)
    if "growth" in record:
        yield _growth(record["growth"]["cases"])


def _table(
    title: str,
    columns: list[str],
    parts: tuple[str, ...],
    cases: list[Record],
    cells: Callable[[Record], list[str]],
) -> str:
    head = [*columns, "way", "forward ms", "backward ms", "both ms", "times faster", "MiB", "share of memory"]
    lines = [title, "", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for case in cases:
        for name, way in case["ways"].items():
            if isinstance(way, str):
                numbers = [way, *[NONE] * 5]
            else:
                ratio = case["ratios"].get(name, {})
                time = "{median:.2f} [{q25:.2f}, {q75:.2f}]".format(**ratio["time"]) if ratio else NONE
                share = f"{ratio['memory']:.2f}" if ratio.get("memory") else NONE
                times = [f"{way[part]['median']:.1f}" if part in parts else NONE for part in PARTS]
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
        each = f"{ms / amount:.4g} | {mib / amount:.4g}"
        lines.append(f"| {case['of']} | {case['along']} | {amount} | {ms:.1f} | {mib:.0f} | {each} |")
    return "\n".join(lines)


def _compiled(record: Record) -> str:
    env = record["environment"]
    lines = [
        "### Kernels as compiled",
        "",
        "From `benchmarks/results/compiled.json` (`python -m benchmarks.compiled`, which needs no GPU; Triton",
        f"{env['triton']}, commit {_commit(env['commit'])}). Registers of a thread; more than 128 leave room for fewer",
        "programs of the contrast on a multiprocessor. What is spilled goes through memory.",
        "",
        "| kernel | distance | maps | GPU | registers | bytes spilled | bytes of shared memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in record["kernels"]:
        of = f"{one['kernel']} | {one['distance'] or NONE} | {one['dtype']} | {one['gpu']}, sm_{one['arch']}"
        lines.append(f"| {of} | {one['registers']} | {one['spill_bytes']} | {one['shared_bytes']} |")
    return "\n".join(lines)


def _loader(record: Record) -> str:
    rates = record["crops_per_s_from_one_worker"]
    lines = [
        "## Loading",
        "",
        f"From `benchmarks/results/loader_cpu.json` (`python -m benchmarks.loader`, {record['device']}, one thread,",
        f"commit {_commit(record['commit'])}): crops of {_size(record['crop_size'])} out of PNG images of",
        f"{_size(record['image_size'])}, decoded, scaled and cropped. One worker process hands out",
        f"{rates['window']:.0f} a second, and {rates['cached']:.0f} from a cache that `segdistill prepare` made.",
        "",
        "| way | crops a second | ms a crop |",
        "|---|---|---|",
    ]
    for name, way in record["ways"].items():
        lines.append(f"| {name} | {way['crops_per_s']} | {way['ms_a_crop']['all']['median']} |")
    return "\n".join(lines)


def _size(pair: list[int]) -> str:
    return f"{pair[0]}x{pair[1]}"


if __name__ == "__main__":
    main()
