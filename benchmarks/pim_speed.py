"""Time GEMV 4096 x 14336 in fp16 on AttAcc's and AiM's command sets: every command of every channel by itself, then with what is reused.

The reference figures were measured on another machine (the AttAcc simulator: 10,400 all-bank MACs per CPU second, 5.5 s; the AiM
simulator: 1.0 million, 0.23 s), so a ratio to them is an estimate unless both run here.

    python benchmarks/pim_speed.py [--json]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moeram.hardware.cycle import load_core

ROUNDS = 15
ROWS = 112  # 4096 * 14336 * 2 bytes over 16 channels of 64 KB rows, and over 32 channels of 32 KB rows

ATTACC = """
Frontend: {impl: PIMLoadStoreTrace, path: trace.txt, clock_ratio: 1, SWITCHES}
MemorySystem:
  impl: PIMDRAM
  clock_ratio: 1
  DRAM: {impl: HBM3-PIM, org: {preset: HBM3_8Gb_2R, channel: 16}, timing: {preset: HBM3_5.2Gbps}}
  Controller: {impl: HBM3-PIM, Scheduler: {impl: PIM}, RefreshManager: {impl: AllBankHBM3}}
  AddrMapper: {impl: HBM3-PIM}
"""
AIM = """
Frontend: {impl: AiMTrace, path: trace.txt, clock_ratio: 1, SWITCHES}
MemorySystem:
  impl: AiMDRAM
  clock_ratio: 1
  DRAM: {impl: GDDR6, org: {preset: GDDR6_AiM_org}, timing: {preset: GDDR6_AiM_timing}}
  Controller: {impl: AiM, Scheduler: {impl: FRFCFS}, RefreshManager: {impl: AllBank}}
  AddrMapper: {impl: RoBaRaCoCh}
"""


def attacc_lines() -> list[str]:
    """Columns in order, channels innermost, as the upstream generators write them."""
    return [
        f"PIM_MAC_AB {channel << 30 | row << 10 | column << 5:#x}"
        for row in range(ROWS)
        for column in range(32)
        for channel in range(16)
    ]


def aim_lines() -> list[str]:
    return [*(f"AiM MAC_ABK 64 0xffffffff {row}" for row in range(ROWS)), "AiM EOC"]


@dataclass(frozen=True)
class Case:
    """A command set, its reference simulator's cycles and time, and how many times faster the engine should be."""

    config: str
    lines: list[str]
    command: str
    cycles: int
    reference_s: float
    target: int
    reuse: dict[str, str]  # what is reused -> keys of the front end


EACH = "nothing: every command of every channel"
CASES = {
    "AttAcc": Case(
        ATTACC, attacc_lines(), "MACAB", 28148, 5.5, 500,
        {EACH: "reuse_identical_channels: false", "equal channels": "reuse_identical_channels: true"},
    ),
    "AiM": Case(
        AIM, aim_lines(), "MAC16", 25271, 0.23, 20,
        {
            EACH: "reuse_identical_channels: false, fold: false",
            "columns of a row": "reuse_identical_channels: false, fold: true",
            "columns of a row and equal channels": "reuse_identical_channels: true, fold: true",
        },
    ),
}  # fmt: skip


def measure(rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """The least times of some rounds, in each of which all rows run once; reading configuration and trace included."""
    rows = [
        {"set": name, "reused": reused, "cpu_s": float("inf"), "wall_s": float("inf")}
        for name in CASES
        for reused in CASES[name].reuse
    ]
    for _ in range(rounds):
        for row in rows:
            once(row, CASES[row["set"]])
    return rows


def once(row: dict[str, Any], case: Case) -> None:
    """Run one row and keep its times if they are the least so far."""
    core = load_core()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(case.config.replace("SWITCHES", case.reuse[row["reused"]]))
        (Path(folder) / "trace.txt").write_text("\n".join(case.lines) + "\n")
        cpu, wall = time.process_time(), time.perf_counter()
        result = core.run_queued(str(config), folder=folder)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    if result["memory_system_cycles"] != case.cycles:
        raise SystemExit(f"{row['set']}: {result['memory_system_cycles']} cycles, the reference needs {case.cycles}")
    counts = result["command_counts_by_channel"].values()
    row["commands"] = sum(sum(of.values()) for of in counts)
    row["macs"] = sum(of.get(case.command, 0) for of in counts)
    row["simulated_channels"] = result["simulated_channels"]
    row["cpu_s"], row["wall_s"] = min(row["cpu_s"], cpu), min(row["wall_s"], wall)
    row["commands_per_cpu_s"] = row["commands"] / row["cpu_s"]
    row["times_reference"] = case.reference_s / row["cpu_s"]


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print what measure() found, for people."""
    print(
        f"{'set':7} {'reused':40} {'channels':>8} {'commands':>9} {'cpu ms':>8} {'wall ms':>8} {'M commands/cpu s':>17}  beside the reference"
    )
    for row in rows:
        case = CASES[row["set"]]
        target = (
            f" ({'met' if row['times_reference'] >= case.target else 'MISSED'}: {case.target} x)"
            if row["reused"] == EACH
            else ""
        )
        print(
            f"{row['set']:7} {row['reused']:40} {row['simulated_channels']:8} {row['commands']:9} {1e3 * row['cpu_s']:8.2f} {1e3 * row['wall_s']:8.2f} "
            f"{row['commands_per_cpu_s'] / 1e6:17.1f}  {row['times_reference']:.0f} x its {case.reference_s} s{target}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    found = measure()
    if parser.parse_args().json:
        print(json.dumps(found, indent=1))
    else:
        print_table(found)
