"""Time GEMV 4096 x 14336 in fp16 on AttAcc's and AiM's command sets, every channel simulated on its own.

The reference figures were measured on another machine (the AttAcc simulator: 10,400 all-bank MACs per CPU second, 5.5 s; the AiM
simulator: 1.0 million, 0.23 s), so a ratio to them is an estimate unless both run here. Run: python benchmarks/pim_speed.py
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from moeram.hardware.cycle import load_core

ROUNDS = 7
ROWS = 112  # 4096 * 14336 * 2 bytes over 16 channels of 64 KB rows, and over 32 channels of 32 KB rows

ATTACC = """
Frontend: {impl: PIMLoadStoreTrace, path: trace.txt, clock_ratio: 1}
MemorySystem:
  impl: PIMDRAM
  clock_ratio: 1
  DRAM: {impl: HBM3-PIM, org: {preset: HBM3_8Gb_2R, channel: 16}, timing: {preset: HBM3_5.2Gbps}}
  Controller: {impl: HBM3-PIM, Scheduler: {impl: PIM}, RefreshManager: {impl: AllBankHBM3}}
  AddrMapper: {impl: HBM3-PIM}
"""
AIM = """
Frontend: {impl: AiMTrace, path: trace.txt, clock_ratio: 1}
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


def measure(name: str, config: str, lines: list[str], command: str, wanted_cycles: int, reference_s: float) -> None:
    core = load_core()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.yaml").write_text(config)
        (Path(folder) / "trace.txt").write_text("\n".join(lines) + "\n")
        best_cpu = best_wall = float("inf")
        for _ in range(ROUNDS):
            cpu, wall = time.process_time(), time.perf_counter()
            result = core.run_queued(str(Path(folder) / "config.yaml"), folder=folder)
            best_cpu, best_wall = min(best_cpu, time.process_time() - cpu), min(best_wall, time.perf_counter() - wall)
    macs = sum(counts.get(command, 0) for counts in result["command_counts_by_channel"].values())
    issued = sum(sum(counts.values()) for counts in result["command_counts_by_channel"].values())
    if result["memory_system_cycles"] != wanted_cycles:
        raise SystemExit(f"{name}: {result['memory_system_cycles']} cycles, the reference needs {wanted_cycles}")
    print(
        f"{name}: {wanted_cycles} cycles as the reference, {macs} {command}; best of {ROUNDS}: {1e3 * best_cpu:.1f} ms CPU, "
        f"{1e3 * best_wall:.1f} ms wall, {issued / best_cpu / 1e6:.2f} M commands per CPU second; reading configuration and "
        f"trace included. {reference_s / best_cpu:.0f} x the {reference_s} s of the reference machine"
    )


if __name__ == "__main__":
    measure("AttAcc", ATTACC, attacc_lines(), "MACAB", 28148, 5.5)
    measure("AiM", AIM, aim_lines(), "MAC16", 25271, 0.23)
