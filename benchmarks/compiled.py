"""Registers and spills of the Triton kernels, compiled for GPUs that need not be here.

python -m benchmarks.compiled --out benchmarks/results/compiled.json

A register that does not fit is spilled: it goes through memory. Sizes are the published ones: sets of 256 cells of 128
channels, programs of one warp for the contrast.
"""

import argparse
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.harness import environment
from segdistill.ops.dense_contrast.fused import kernels as contrast_kernels
from segdistill.ops.squared_error.fused import kernels as error_kernels

GPUS = {80: "A100", 90: "H100"}
NUMBERS = ("fp32", "bf16")
DISTANCES = ("l1", "l2", "cosine")


class Kernel(NamedTuple):
    """A kernel with all that a compiler must know of it.

    Attributes:
        function: Of Triton.
        arguments: Types by name.
        constants: By name.
        warps: Of a program.
        aligned: Numbers of the arguments that are multiples of 16, as pointers of torch are.
    """

    function: Any
    arguments: dict[str, str]
    constants: dict[str, Any]
    warps: int
    aligned: tuple[int, ...]


def contrast(distance: str, number: str, groups: int = 16) -> Kernel:
    """The contrast with its gradient; ``number`` is the dtype of the maps."""
    exact = "fp64" if number == "fp64" else "fp32"
    maps = {"student": f"*{number}", "teacher": f"*{number}", "losses": f"*{exact}", "grads": f"*{exact}"}
    arguments = {**maps, "sets": "i32", "processors": "i32", "sharpness": f"*{exact}"}
    constants = {
        "R": 256, "D": 128, "DISTANCE": distance, "GROUPS": groups, "WITH_GRAD": True, "ACCUMULATOR": _dtype(exact),
        "ANCHORS": 4, "CELLS": 256, "CHANNELS": 8,
    }  # fmt: skip
    return Kernel(contrast_kernels._contrast_kernel, arguments, constants, 1, (0, 1, 2, 3, 6))


def squared_error(number: str) -> Kernel:
    """The error with its differences."""
    exact = "fp64" if number == "fp64" else "fp32"
    arguments = {"x": f"*{number}", "target": f"*{number}", "differences": f"*{number}", "sums": f"*{exact}"}
    constants = {"WITH_GRAD": True, "ACCUMULATOR": _dtype(exact), "BLOCK": error_kernels.BLOCK}
    return Kernel(error_kernels._squared_error_kernel, {**arguments, "count": "i32"}, constants, 4, (0, 1, 2, 3, 4))


def compiled_for(kernel: Kernel, arch: int) -> Any:
    """What Triton makes of a kernel for compute capability ``arch`` / 10."""
    import triton
    from triton.backends.compiler import GPUTarget

    source = triton.compiler.ASTSource(
        fn=kernel.function,
        signature={**kernel.arguments, **dict.fromkeys(kernel.constants, "constexpr")},
        constexprs=kernel.constants,
        attrs={(i,): [["tt.divisibility", 16]] for i in kernel.aligned},
    )
    return triton.compile(source, target=GPUTarget("cuda", arch, 32), options={"num_warps": kernel.warps})


def resources(ptx: str) -> dict[str, int]:
    """Registers of a thread and bytes that it spills, as the assembler that comes with Triton says.

    Raises:
        FileNotFoundError: If this Triton has no assembler.
    """
    import triton

    program = Path(triton.__file__).parent / "backends/nvidia/bin/ptxas"
    target = re.search(r"\.target (\w+)", ptx)
    assert target is not None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.ptx"
        file.write_text(ptx)
        said = subprocess.run(
            [program, "-v", "--gpu-name", target[1], file, "-o", file.with_suffix(".cubin")],
            capture_output=True, text=True, check=True,
        ).stderr  # fmt: skip
    patterns = {"registers": r"Used (\d+) registers", "spill_bytes": r"(\d+) bytes spill stores"}
    return {name: int(re.findall(pattern, said)[0]) for name, pattern in patterns.items()}


def run() -> Iterator[dict[str, Any]]:
    """One record a kernel and GPU."""
    kinds = [("contrast", distance, number) for distance in DISTANCES for number in NUMBERS]
    for name, distance, number in [*kinds, *(("squared error", "", number) for number in NUMBERS)]:
        kernel = contrast(distance, number) if distance else squared_error(number)
        for arch, gpu in GPUS.items():
            made = compiled_for(kernel, arch)
            about = {"kernel": name, "distance": distance, "dtype": number, "arch": arch, "gpu": gpu}
            yield {**about, **resources(made.asm["ptx"]), "shared_bytes": made.metadata.shared}


def main() -> None:
    """Compile all, write one file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compiled", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    kernels = []
    for found in run():
        kernels.append(found)
        print(*found.values(), flush=True)
    out.write_text(json.dumps({"environment": environment(torch.device("cpu")), "kernels": kernels}, indent=1) + "\n")


def _dtype(name: str) -> Any:
    import triton.language as tl

    return tl.dtype(name)


if __name__ == "__main__":
    main()
