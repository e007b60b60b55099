"""What threads do to a training step on a CPU: alone, and beside one busy process.

    python -m benchmarks.threads --out benchmarks/results/threads_cpu.json

Forward and backward pass of a student alone, median of a few steps. `experiment/threads.py` chooses by these numbers.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

import segdistill as sd
from benchmarks.harness import commit

STEPS, WARM_UP = 10, 3
NETWORKS: dict[str, tuple[str, dict[str, Any], tuple[int, int], int]] = {
    "demo student": (
        "deeplabv3_resnet18",
        {"backbone": {"channels": [8, 16, 32, 64]}, "output_stride": 16, "aux": False},
        (64, 112),
        8,
    ),
    "demo teacher": (
        "deeplabv3_resnet18",
        {"backbone": {"channels": [32, 64, 128, 256]}, "output_stride": 8, "aux": True},
        (64, 112),
        8,
    ),
    "MobileNetV2 x0.5": ("deeplabv3_mobilenetv2_050", {"output_stride": 16}, (176, 240), 8),
    "EfficientNet-Lite 0": ("deeplabv3_tf_efficientnet_lite0", {"output_stride": 32}, (176, 240), 8),
}


def step_ms(network: sd.Network, image: torch.Tensor, threads: int) -> float:
    """Median milliseconds of a forward and backward pass."""
    torch.set_num_threads(threads)
    spent = []
    for _ in range(WARM_UP + STEPS):
        start = time.perf_counter()
        network(image).logits.sum().backward()
        spent.append(time.perf_counter() - start)
    return 1e3 * statistics.median(spent[WARM_UP:])


def measure(name: str, cores: int) -> dict[str, Any]:
    """One network: threads x busy processes."""
    made, options, size, images = NETWORKS[name]
    network = sd.create_network(made, num_classes=11, options=options).train().to(memory_format=torch.channels_last)
    image = torch.rand(images, 3, *size).to(memory_format=torch.channels_last)
    rows = []
    for busy in (0, 1):
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        try:
            for threads in sorted({1, cores}):
                rows.append({"busy": busy, "threads": threads, "ms": round(step_ms(network, image, threads), 1)})
        finally:
            for other in others:
                other.kill()
    return {"network": name, "size": size, "images": images, "rows": rows}


def main() -> None:
    """Measure every network, write one JSON file, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    cores = torch.get_num_threads()
    measured = [measure(name, cores) for name in NETWORKS]
    content = {"commit": commit(), "torch": torch.__version__, "cores": cores, "networks": measured}
    out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    for one in measured:
        cells = [f"{row['threads']} threads, {row['busy']} busy: {row['ms']:.0f} ms" for row in one["rows"]]
        print(f"{one['network']}: {'; '.join(cells)}")


if __name__ == "__main__":
    main()
