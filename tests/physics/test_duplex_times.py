"""HBM3@duplex and its comparison points keep every bank's times while units and processor use the same bundles, refreshes between."""

from __future__ import annotations

import random

import pytest

from moeram.hardware.program_runs import ProgramMemory, play_program

from .lockstep_rules import Rules, check

ALL = (0, 1, 2, 3)
# level: standard, spanned levels, first banks of what is read together, cycles from the first group of four banks to the last
LEVELS = {
    "logic": ("HBM3@duplex", (2, 3), (0, 8, 16, 24), 39),
    "bankgroup": ("HBM3@duplex-bankgroup", (0, 2), (0, 1, 8, 9), 0),
    "bank": ("HBM3@duplex-bank", ALL, (0,), 3 * 39),
}


def mix(seed, starts):
    rng = random.Random(seed)
    lines = []
    for _ in range(250):
        row, column = rng.randrange(3), rng.randrange(20)
        if rng.random() < 0.4:
            lines.append(f"MEM {rng.choice(('RD', 'WR'))} {rng.randrange(1, 9)} 1 {rng.randrange(32)} {row} {column}")
        elif rng.random() < 0.1:
            lines.append(rng.choice(("PIM WRVEC 9 1 0", "PIM RDRES 5 1")))
        else:
            lines.append(f"PIM MAC {rng.randrange(1, 13)} 1 {rng.choice(starts)} {row} {column} 1")
    return [*lines, "PIM END"]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("seed", range(4))
def test_every_bank_keeps_its_times(tmp_path, level, seed):
    standard, span, starts, tail = LEVELS[level]
    rules = Rules(
        sizes=(2, 2, 4, 2),
        opens={"ACT": (), "ACTU": span},
        closes={"PRE": (), "PREA": ALL, "PREU": span},
        accesses={"RD": ((), 19), "WR": ((), 19), "MACU": (span, 19 + tail)},
        writes={"WR"},
        refreshes={"REFab": ALL},
        row_cycle=64, row_active=45, precharge=19, read_to_precharge=8, write_to_precharge=29, refresh=456,
    )  # fmt: skip
    lines = mix(seed, starts)
    memory = ProgramMemory(standard=standard, organization={"preset": "HBM3_Duplex"}, timing={"preset": "HBM3_5.2Gbps"})
    result = play_program(memory, "\n".join(lines) + "\n", command_trace=tmp_path / "commands")
    check(rules, (tmp_path / "commands.ch0").read_text().splitlines())
    counts = result["command_counts_by_channel"][0]
    for words, command in (("PIM MAC", "MACU"), ("MEM WR", "WR"), ("PIM WRVEC", "WRVEC")):
        assert counts[command] == sum(int(line.split()[2]) for line in lines if line.startswith(words))
    due = result["memory_system_cycles"] // 5070
    assert due >= 1 and due - 1 <= counts["REFab"] <= due
