"""How long whole decode steps take to simulate, and how that grows.

    python benchmarks/run.py [--json] [--routing FOLDER] [--figures FOLDER] [--quick]

--routing: a folder with olmoe-1b-7b.npz and mixtral-8x7b.npz (counts of selections); without it routing is generated.
Every row runs in a process of its own with an empty kernel memo, its first run is the cold one, its second the warm one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import growth
import whole_models
from whole_models import CASES, SWITCHES

# Ramulator 2.0 (be93be78, -O3, one core of an EPYC under a hypervisor): one million sequential HBM3 reads, with the
# activates and precharges of 32 reads a row, in 2.33 s of processor time.
RAMULATOR2_COMMANDS_PER_S = 1_062_500 / 2.33
# The AttAcc simulator (HBM3-PIM on Ramulator 2.0): 57,344 all-bank MACs, 4096 x 14336 in fp16, in 5.5 s of processor time.
ATTACC_COMMANDS_PER_S = 57_344 / 5.5
TARGETS_S = {"olmoe": (0.5, 2), "mixtral": (0.5, 3), "scout": (0.5, 5), "sieve": (10, None), "gpu": (1, 6)}
# 160 channels of 17 million reads each, 2,048 pseudochannels of 2.4 million commands each.
TOO_LONG = {("gpu", "none"), ("sieve", "none")}
WARM_TARGET_S = 0.05


def once(command: list[str], memo: str) -> dict[str, Any]:
    """What one process measured."""
    environment = {**os.environ, "MOERAM_MEMO_DIR": memo}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout)


def in_a_process(case: str, reuse: str, routing: Path | None, repeats: int) -> dict[str, Any]:
    """The fastest of some cold runs, each with a memo of its own; times of a shared machine only ever grow."""
    command = [sys.executable, str(Path(whole_models.__file__)), case, "--reuse", reuse]
    command += ["--routing", str(routing)] if routing else []
    found = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            cold = once(command, folder)
            from_disk_s = once(command, folder)["wall_s"] if reuse == "all" else None
            found.append({**cold, "from_disk_s": from_disk_s})
    best = dict(min(found, key=lambda row: row["wall_s"]))
    best["again_s"] = min(row["again_s"] for row in found)
    if reuse == "all":
        best["from_disk_s"] = min(row["from_disk_s"] for row in found)
    return best


def full_steps(routing: Path | None, repeats: int) -> list[dict[str, Any]]:
    """One entry for each case and switch."""
    rows = []
    for case, (title, _) in CASES.items():
        for reuse in SWITCHES:
            if (case, reuse) in TOO_LONG:
                continue
            measured = in_a_process(case, reuse, routing, repeats)
            rows.append({"case": case, "title": title, "reuse": reuse, **measured})
    return rows


def scaling_with_threads(repeats: int) -> dict[str, Any]:
    """Threads 1 and 2 with every reuse off, and what more cores would give by the share that no thread takes over.

    That share is the time of the same run with one request a channel: descriptors, devices and tables, nothing to simulate.
    """
    memory = replace(whole_models.gpu_memory("HBM3@2.0"), stacks=1)

    def seconds(threads: int, requests: int) -> tuple[float, float]:
        streams = [whole_models.Stream(base_bytes=0, extent_bytes=16 * 16 * requests)]
        options = whole_models.StreamOptions(fold=False, reuse_identical_channels=False, threads=threads)
        begin, cpu = time.perf_counter(), time.process_time()
        whole_models.run_streams(streams, memory, options)
        return time.perf_counter() - begin, time.process_time() - cpu

    one_s, one_cpu_s = min(seconds(1, 200_000) for _ in range(repeats))
    two_s, two_cpu_s = min(seconds(2, 200_000) for _ in range(repeats))
    serial = min(seconds(1, 1) for _ in range(repeats))[0] / one_s
    projected = {str(cores): 1 / (serial + (1 - serial) / cores) for cores in (2, 4, 8, 16)}
    return {
        "one_s": one_s,
        "two_s": two_s,
        "gain": one_s / two_s,
        "cpu_of_two_over_one": two_cpu_s / one_cpu_s,
        "serial_share": serial,
        "projected_gain": projected,
    }


def print_tables(report: dict[str, Any]) -> None:
    """Print what --json would give, for people."""
    print(
        f"{'step':52} {'reuse':9} {'cold s':>8} {'cpu s':>8} {'again s':>8} {'disk s':>8} {'MB':>6} {'GB read':>8} {'M cmds':>8}  targets"
    )
    for row in report["full_steps"]:
        target = {"all": 0, "channels": 1, "none": 1}[row["reuse"]]
        allowed = TARGETS_S[row["case"]][target]
        hits = allowed is None or row["wall_s"] < allowed
        warm = row["reuse"] != "all" or row["again_s"] < WARM_TARGET_S
        disk = f"{row['from_disk_s']:8.3f}" if row["from_disk_s"] is not None else " " * 8
        print(
            f"{row['title']:52} {row['reuse']:9} {row['wall_s']:8.3f} {row['cpu_s']:8.3f} {row['again_s']:8.3f} {disk} {row['peak_mb']:6.0f} "
            f"{row['weight_bytes'] / 1e9:8.1f} {row['commands'] / 1e6:8.1f}  "
            + ("" if allowed is None else f"{'met' if hits and warm else 'MISSED'} (cold < {allowed} s)")
        )
    print("\nthe same number of commands elsewhere")
    for row in report["full_steps"]:
        if row["reuse"] == "all":
            print(
                f"{row['title']:52} Ramulator 2.0 {row['ramulator2_s']:10.1f} s   "
                f"AttAcc simulator {row['attacc_simulator_s'] / 3600:8.2f} h"
            )
    threads = report["threads"]
    print(
        f"\nthreads: {threads['one_s']:.2f} s on one, {threads['two_s']:.2f} s on two ({threads['gain']:.2f} x, "
        f"{threads['cpu_of_two_over_one']:.2f} x the processor time); serial share "
        f"{threads['serial_share']:.1%}; projected "
        + ", ".join(f"{gain:.1f} x on {cores}" for cores, gain in threads["projected_gain"].items())
    )
    print("\ngrowth of the wall time: seconds at each size, exponent of a power law")
    for name, series in report["growth"].items():
        points = ", ".join(
            f"{size}: {seconds:.3f}" for size, seconds in zip(series["sizes"], series["seconds"], strict=True)
        )
        print(f"{name:40} ^{series['exponent']:5.2f}   {points}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--routing", type=Path)
    parser.add_argument("--figures", type=Path, default=Path("docs/figures"))
    parser.add_argument("--quick", action="store_true", help="one repetition of everything")
    arguments = parser.parse_args()
    repeats = 1 if arguments.quick else 3
    steps = full_steps(arguments.routing, repeats)
    for row in steps:
        row["ramulator2_s"] = row["commands"] / RAMULATOR2_COMMANDS_PER_S
        row["attacc_simulator_s"] = row["commands"] / ATTACC_COMMANDS_PER_S
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MOERAM_MEMO_DIR"] = folder
        report = {"full_steps": steps, "threads": scaling_with_threads(repeats), "growth": growth.measure(repeats)}
    growth.draw(report["growth"], arguments.figures / "scale-growth.png")
    if arguments.json:
        print(json.dumps(report, indent=1))
    else:
        print_tables(report)


if __name__ == "__main__":
    main()
