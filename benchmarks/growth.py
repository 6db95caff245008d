"""Processor time of simulated steps against batch, sequence length, experts and stacks, with every reuse off and on.

    python benchmarks/growth.py [--json] [--figures FOLDER] [--quick]

Exponents are slopes of straight lines through the logarithms, by least squares: over all sizes, and over the larger half of them, where
what a run takes anyway no longer counts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from whole_models import gpu_memory

from moeram.hardware import CycleOptions, NmpWork, Stream, StreamOptions, cycle, load_system, run_streams
from moeram.model import load_model

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SEQUENCES = (512, 1024, 2048, 4096, 8192, 16384, 32768)
EXPERTS = (8, 16, 32, 64, 128, 256, 512)
STACKS = (1, 2, 4, 6, 8, 10, 12)
_HIDDEN, _WIDTH, _TOP_K, _ROWS = 2048, 512, 8, 6  # an expert of 6 MB: six rows of every bank of a chip


def expert_layers(batch: int, experts: int, layers: int = 16) -> NmpWork:
    """Layers whose tokens pick top-8 of equally likely experts."""
    rng = np.random.default_rng(0)
    top_k = min(_TOP_K, experts)
    picked = rng.random((layers, batch, experts)).argpartition(top_k - 1, axis=-1)[..., :top_k]
    counts = np.stack([np.bincount(layer.ravel(), minlength=experts) for layer in picked])
    layer, expert = np.nonzero(counts)
    begin = np.zeros(layers + 1, dtype=np.int64)
    np.cumsum(np.count_nonzero(counts, axis=1), out=begin[1:])
    return NmpWork(
        layer_begin=begin,
        expert=expert.astype(np.int32),
        first_row=(expert * _ROWS).astype(np.int32),
        tokens=counts[layer, expert].astype(np.int32),
        batch=batch,
    )


def near_memory(batch: int, experts: int, chips: int = 1, *, reuse: bool) -> Callable[[], object]:
    """Sixteen layers of experts whose share of a chip's banks stays the same."""
    work = expert_layers(batch, experts)
    system = load_system("stratum_s").model_copy(update={"chips": chips})
    # Buffers as large as the largest batch needs: this measures the simulator, not the chip.
    unit = system.unit.model_copy(update={"shared_memory_bytes_per_pu": 1 << 28, "psum_bytes_per_pe": 1 << 22})
    system = system.model_copy(update={"unit": unit})
    options = CycleOptions(
        hidden_size=_HIDDEN,
        intermediate_size=_WIDTH * chips,
        bits_per_weight=16,
        bytes_per_activation=2,
        result_row=30000,
        threads=1,
        reuse_identical_channels=reuse,
        reuse_experts=reuse,
    )
    return lambda: cycle.run(work, system, options)


def cache_read(tokens: int, stacks: int = 10, *, reuse: bool, all_channels: bool = False) -> Callable[[], object]:
    """A GPU reads the key-value caches of four requests of Mixtral once."""
    memory = replace(gpu_memory("HBM3@2.0"), stacks=stacks)
    streams = [Stream(base_bytes=0, extent_bytes=4 * tokens * load_model("mixtral-8x7b").kv_bytes_per_token)]
    options = StreamOptions(fold=reuse, reuse_identical_channels=not all_channels, threads=1)
    return lambda: run_streams(streams, memory, options)


def measure(repeats: int) -> dict[str, Any]:
    """Name -> sizes, seconds, exponent (of all sizes) and large_exponent (of the larger half)."""
    found: dict[str, Any] = {}

    def series(name: str, sizes: Sequence[int], make: Callable[[int], Callable[[], object]]) -> None:
        seconds = []
        for size in sizes:
            work = make(size)
            seconds.append(min(_seconds(work) for _ in range(repeats)))
        half = len(sizes) // 2
        found[name] = {
            "sizes": list(sizes),
            "seconds": seconds,
            "exponent": _exponent(sizes, seconds),
            "large_exponent": _exponent(sizes[half:], seconds[half:]),
        }

    for reuse, word in ((False, "simulated"), (True, "reused")):
        series(f"batch, 64 experts, {word}", BATCHES, lambda batch, r=reuse: near_memory(batch, 64, reuse=r))
        series(f"experts, batch 16, {word}", EXPERTS, lambda experts, r=reuse: near_memory(16, experts, reuse=r))
        series(f"chips, 64 experts, {word}", STACKS, lambda chips, r=reuse: near_memory(16, 64, chips, reuse=r))
        series(f"tokens of context, {word}", SEQUENCES, lambda tokens, r=reuse: cache_read(tokens, reuse=r))
        series(
            f"stacks, 16 tokens each, {word}",
            STACKS,
            lambda n, r=reuse: cache_read(16 * n, n, reuse=r, all_channels=not r),
        )
    return found


def _seconds(work: Callable[[], object]) -> float:
    """One thread's processor time: others on the machine count less in it than in wall time."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def _exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def table(found: dict[str, Any]) -> str:
    """The series as lines of Markdown."""
    lines = ["| growth with | from | to | seconds | exponent | of the larger half |", "| --- | --- | --- | --- | --- | --- |"]
    for name, series in found.items():
        sizes, seconds = series["sizes"], series["seconds"]
        lines.append(
            f"| {name} | {sizes[0]} | {sizes[-1]} | {seconds[0]:.4f} to {seconds[-1]:.4f} | {series['exponent']:.2f} "
            f"| {series['large_exponent']:.2f} |"
        )
    return "\n".join(lines)


def draw(found: dict[str, Any], path: Path) -> None:
    """One panel for each quantity, log scales, the fitted exponent in the legend."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    quantities = list(dict.fromkeys(name.rpartition(", ")[0] for name in found))
    figure, panels = plt.subplots(
        1, len(quantities), figsize=(3.2 * len(quantities), 3.2), sharey=True, layout="constrained"
    )
    for panel, quantity in zip(panels, quantities, strict=True):
        for word, marker in (("simulated", "o"), ("reused", "s")):
            series = found[f"{quantity}, {word}"]
            panel.plot(series["sizes"], series["seconds"], marker + "-", label=f"{word}: size^{series['exponent']:.2f}")
        panel.set(xscale="log", yscale="log", xlabel=quantity)
        panel.legend(fontsize=8)
        panel.grid(alpha=0.3, which="both")
    panels[0].set_ylabel("processor time (s)")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--figures", type=Path, default=Path("docs/figures"))
    parser.add_argument("--quick", action="store_true", help="one repetition of everything")
    arguments = parser.parse_args()
    found = measure(1 if arguments.quick else 3)
    draw(found, arguments.figures / "scale-growth.png")
    print(json.dumps(found, indent=1) if arguments.json else table(found))


if __name__ == "__main__":
    main()
