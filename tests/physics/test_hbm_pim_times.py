"""HBM2@hbm-pim keeps every bank's times while ordinary memory and programs of all banks take turns, refreshes between them."""

from __future__ import annotations

import random

import pytest

from moeram.hardware.cycle import load_core
from moeram.pim.hbm_pim import Program

from .lockstep_rules import Rules, check

CONFIG = """
Frontend: {impl: AiMTrace, path: trace.txt, clock_ratio: 1}
MemorySystem:
  impl: AiMDRAM
  clock_ratio: 1
  DRAM: {impl: HBM2@hbm-pim, org: {preset: HBM2_PIM}, timing: {preset: HBM2_2000Mbps}}
  Controller: {impl: AiM, Scheduler: {impl: FRFCFS}, RefreshManager: {impl: AllBank}}
  AddrMapper: {impl: RoBaRaCoCh}
"""
ALL, HALF = (0, 1, 2), (0, 1)
RULES = Rules(
    sizes=(4, 2, 2),
    opens={"ACT": (), "ACTH": HALF},
    closes={"PRE": (), "PREA": ALL, "PREH": HALF},
    accesses={"RD": ((), 14), "WR": ((), 10), "RDH": (HALF, 14), "WRH": (HALF, 10)},
    writes={"WR", "WRH"},
    refreshes={"REFab": ALL},
    row_cycle=47, row_active=33, precharge=14, read_to_precharge=5, write_to_precharge=26, refresh=350,
)  # fmt: skip


def mix(seed):
    rng = random.Random(seed)
    program = Program()
    for _ in range(12):
        for _ in range(rng.randrange(30)):
            bank, row, column = rng.randrange(16), rng.randrange(3), rng.randrange(24)
            program.lines.append(f"MEM {rng.choice(('RD', 'WR'))} {rng.randrange(1, 9)} 1 {bank} {row} {column}")
        program.enter(["NOP 65535", "EXIT"])
        for _ in range(rng.randrange(40)):
            place = rng.randrange(2), rng.randrange(3), rng.randrange(16), rng.randrange(1, 17)
            rng.choice((program.read, program.write))(*place)
        program.leave()
    return program.end()


@pytest.mark.parametrize("seed", range(6))
def test_every_bank_keeps_its_times(tmp_path, seed):
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "trace.txt").write_text(mix(seed))

    def play(name, **options):
        return load_core().run_queued(
            str(tmp_path / "config.yaml"), folder=str(tmp_path), command_trace=str(tmp_path / name), **options
        )

    result = play("commands")
    commands = (tmp_path / "commands.ch0").read_text()
    check(RULES, commands.splitlines())
    lines = [line.split() for line in mix(seed).splitlines()]
    counts = result["command_counts_by_channel"][0]
    for words, command in ((("PIM", "RD"), "RDH"), (("MEM", "WR"), "WR")):
        assert counts[command] == sum(int(line[2]) for line in lines if (line[0], line[1]) == words)
    due = result["memory_system_cycles"] // 3900
    assert due >= 1 and due - 1 <= counts["REFab"] <= due
    # Ticking every cycle is the same, command for command.
    assert play("ticked", skip=False) == result
    assert (tmp_path / "ticked.ch0").read_text() == commands
