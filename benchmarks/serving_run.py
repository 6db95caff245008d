"""A serving run of many requests, and what it takes of time and memory: Mixtral on Stratum-L, Poisson arrivals, 4 a second.

    python benchmarks/serving_run.py 1000 [--requests FILE] [--routing FOLDER]

Lengths come from Azure's conversation trace (--requests), or else from two log-normal distributions with the means and deviations
of that trace's logarithms; prompts are cut at 1,024 tokens and answers at 256. Prints one JSON object; run.py runs several.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moeram.experiment import load_serving, run_serving
from moeram.hardware import shared_memo
from moeram.runs.provenance import peak_memory_bytes

EXPERIMENT, RATE_PER_S, PROMPT_TOKENS, OUTPUT_TOKENS = "mixtral_stratum_l", 4.0, 1024, 256
# Azure's public trace of conversations (November 2023, 19,366 requests): mean and standard deviation of ln(tokens).
PROMPT_LOG, OUTPUT_LOG = (6.633, 0.985), (5.019, 0.859)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """wall_s, cpu_s: of the run in a started process. record_bytes: arrays that the run leaves behind. simulated_s: simulated time.

    memo: what the kernel memo was asked for.
    """

    requests: int
    lengths: str
    wall_s: float
    cpu_s: float
    steps: int
    simulated_s: float
    peak_bytes: int
    record_bytes: int
    memo: dict[str, int]


def stand_in(count: int, folder: Path) -> Path:
    """Write requests of log-normal lengths in the layout of Azure's traces; their arrivals are not used."""
    rng = np.random.default_rng(0)
    lengths = [np.maximum(1, np.rint(rng.lognormal(*log, count))).astype(int) for log in (PROMPT_LOG, OUTPUT_LOG)]
    lines = [f"2023-11-16 18:00:00,{prompt},{output}" for prompt, output in zip(*lengths, strict=True)]
    path = folder / "log_normal.csv"
    path.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *lines]) + "\n", encoding="utf-8")
    return path


def bytes_of(value: Any) -> int:
    """Return the bytes of all arrays in a record."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if is_dataclass(value):
        return sum(bytes_of(getattr(value, field.name)) for field in fields(value))
    return sum(map(bytes_of, value.values())) if isinstance(value, dict) else 0


def measure(count: int, requests: Path | None, routing: Path | None) -> Measured:
    values: dict[str, Any] = {
        "requests.source": "trace", "requests.count": count, "requests.rate_per_s": RATE_PER_S,
        "requests.prompt_tokens": PROMPT_TOKENS, "requests.output_tokens": OUTPUT_TOKENS,
    }  # fmt: skip
    if routing is not None:
        values |= {"routing.source": "trace", "routing.path": routing / "mixtral-8x7b.npz"}
    with tempfile.TemporaryDirectory() as folder:
        path = requests or stand_in(count, Path(folder))
        experiment = load_serving(EXPERIMENT, values={**values, "requests.path": path})
        begin, cpu = time.perf_counter(), time.process_time()
        record = run_serving(experiment).record
        wall_s, cpu_s = time.perf_counter() - begin, time.process_time() - cpu
    return Measured(
        requests=count,
        lengths=path.name,
        wall_s=wall_s,
        cpu_s=cpu_s,
        steps=len(record.steps["time_ps"]),
        simulated_s=record.end_ps * 1e-12,
        peak_bytes=peak_memory_bytes() or 0,
        record_bytes=bytes_of(record),
        memo=shared_memo().counts.as_dict(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int)
    parser.add_argument("--requests", type=Path, help="a request trace whose lengths are taken")
    parser.add_argument("--routing", type=Path, help="a folder with mixtral-8x7b.npz")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.count, arguments.requests, arguments.routing).__dict__))


if __name__ == "__main__":
    main()
