"""How long whole decode steps and a serving run take to simulate, what the engine gains where, and how time grows.

    python benchmarks/run.py [--json] [--routing FOLDER] [--requests FILE] [--figures FOLDER] [--quick] [--long]

--routing: a folder with olmoe-1b-7b.npz and mixtral-8x7b.npz (counts of selections); without it routing is generated.
--requests: a request trace, such as Azure's of conversations; without it lengths are generated (serving_run.py).
Every row runs in a process of its own with an empty kernel memo, its first run is the cold one, its second the warm one. --long also
runs the rows without reuse that take minutes of processor time; what takes longer is estimated from one of its equal channels.
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

import engine_speed
import growth
import near_memory_speed
import pim_speed
import serving_run
import whole_models
from run_tables import print_report
from whole_models import CASES, SWITCHES

# Ramulator 2.0 (be93be78, -O3, one core of an EPYC under a hypervisor): one million sequential HBM3 reads, with the
# activates and precharges of 32 reads a row, in 2.33 s of processor time.
RAMULATOR2_COMMANDS_PER_S = 1_062_500 / 2.33
# The AttAcc simulator (HBM3-PIM on Ramulator 2.0): 57,344 all-bank MACs, 4096 x 14336 in fp16, in 5.5 s of processor time.
ATTACC_COMMANDS_PER_S = 57_344 / 5.5
MINUTES = {("sieve", "none")}  # 2,048 pseudochannels of 1.8 million commands each
TOO_LONG = {("gpu", "none"): 160}  # equal channels of 17 million reads, of which "channels" simulates one
SERVING_REQUESTS = (250, 500, 1000)


def once(command: list[str], memo: str) -> dict[str, Any]:
    """What one process measured."""
    environment = {**os.environ, "MOERAM_MEMO_DIR": memo}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stderr.strip()}")
    return json.loads(done.stdout)


def in_a_process(case: str, reuse: str, routing: Path | None, repeats: int) -> dict[str, Any]:
    """The fastest of some cold runs, each with a memo of its own; times of a shared machine only ever grow."""
    command = [sys.executable, str(Path(whole_models.__file__)), case, "--reuse", reuse]
    command += ["--routing", str(routing)] if routing else []
    if (case, reuse) in MINUTES:
        with tempfile.TemporaryDirectory() as folder:
            return {**once([*command, "--once"], folder), "from_disk_s": None, "from_disk_cpu_s": None}
    found = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            cold = once(command, folder)
            disk = once(command, folder) if reuse == "all" else {"wall_s": None, "cpu_s": None}
            found.append({**cold, "from_disk_s": disk["wall_s"], "from_disk_cpu_s": disk["cpu_s"]})
    fastest = dict(min(found, key=lambda row: row["wall_s"]))
    times = [name for name in fastest if name.endswith("_s") and fastest[name] is not None]
    return fastest | {name: min(row[name] for row in found) for name in times}


def full_steps(routing: Path | None, repeats: int, *, long: bool) -> list[dict[str, Any]]:
    """One entry for each case and switch."""
    rows = []
    for case, (title, _) in CASES.items():
        for reuse in SWITCHES:
            name = {"case": case, "title": title, "reuse": reuse}
            if (case, reuse) in TOO_LONG:
                # Channels do not share anything: each takes what the one that was simulated took.
                rows.append({**name, "estimated_cpu_s": rows[-1]["cpu_s"] * TOO_LONG[case, reuse]})
            elif long or (case, reuse) not in MINUTES:
                rows.append({**name, **in_a_process(case, reuse, routing, repeats)})
    for row in rows:
        if "commands" in row:
            row["ramulator2_s"] = row["commands"] / RAMULATOR2_COMMANDS_PER_S
            row["attacc_simulator_s"] = row["commands"] / ATTACC_COMMANDS_PER_S
    return rows


def serving_runs(routing: Path | None, requests: Path | None, counts: tuple[int, ...]) -> list[dict[str, Any]]:
    """Runs of more and more requests, each with an empty memo; the last once more with the memo that it left."""
    rows = []
    for count in counts:
        command = [sys.executable, str(Path(serving_run.__file__)), str(count)]
        command += ["--routing", str(routing)] if routing else []
        command += ["--requests", str(requests)] if requests else []
        with tempfile.TemporaryDirectory() as folder:
            rows.append({"memo_before": "empty", **once(command, folder)})
            if count == counts[-1]:
                rows.append({"memo_before": "of the same run", **once(command, folder)})
    return rows


def engine_ratios(repeats: int) -> dict[str, Any]:
    """The engine on its own: beside Ramulator 2.0's recorded figures, and what helps near-memory layers how much."""
    program = engine_speed.default_program()
    if program is None:
        sys.exit("moeram-sim is not installed")
    with tempfile.TemporaryDirectory() as folder:
        cases = [engine_speed.measure(name, Path(folder), {"moeram": program}, repeats) for name in engine_speed.CASES]
    return {"ramulator2": cases, "near_memory": near_memory_speed.measure(200)}


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--routing", type=Path)
    parser.add_argument("--requests", type=Path)
    parser.add_argument("--figures", type=Path, default=Path("docs/figures"))
    parser.add_argument("--quick", action="store_true", help="one repetition of everything, 250 requests")
    parser.add_argument("--long", action="store_true", help="also what takes minutes of processor time")
    arguments = parser.parse_args()
    for given in (arguments.routing, arguments.requests):
        if given is not None and not given.exists():
            parser.error(f"{given}: no such file or folder")
    repeats = 1 if arguments.quick else 3
    report: dict[str, Any] = {"full_steps": full_steps(arguments.routing, repeats, long=arguments.long)}
    counts = SERVING_REQUESTS[:1] if arguments.quick else SERVING_REQUESTS
    report["serving"] = serving_runs(arguments.routing, arguments.requests, counts)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MOERAM_MEMO_DIR"] = folder
        report["threads"] = scaling_with_threads(repeats)
        report["engine"] = engine_ratios(repeats)
        report["growth"] = growth.measure(repeats)
        report["pim"] = pim_speed.measure(5 * repeats)
    growth.draw(report["growth"], arguments.figures / "scale-growth.png")
    if arguments.json:
        print(json.dumps(report, indent=1))
    else:
        print_report(report)


if __name__ == "__main__":
    main()
