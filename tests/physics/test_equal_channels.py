"""Channels that are sent the same are simulated once, commands over an open row are issued together: no statistic may tell."""

from __future__ import annotations

import random

import pytest

from moeram.hardware.cycle import load_core

ATTACC = """
Frontend: {{impl: PIMLoadStoreTrace, path: trace.txt, clock_ratio: {front}, reuse_identical_channels: {reuse}}}
MemorySystem:
  impl: PIMDRAM
  clock_ratio: {memory}
  DRAM: {{impl: HBM3-PIM, org: {{preset: HBM3_8Gb_2R, channel: 4}}, timing: {{preset: HBM3_5.2Gbps}}, faults: {faults}, drampower_enable: true}}
  Controller: {{impl: HBM3-PIM, Scheduler: {{impl: PIM}}, RefreshManager: {{impl: {refresh}}}}}
  AddrMapper: {{impl: {mapper}}}
"""
AIM = """
Frontend: {{impl: AiMTrace, path: trace.txt, clock_ratio: 1, reuse_identical_channels: {reuse}, fold: {fold}}}
MemorySystem:
  impl: AiMDRAM
  clock_ratio: 1
  DRAM: {{impl: GDDR6, org: {{preset: GDDR6_AiM_org}}, timing: {{preset: GDDR6_AiM_timing}}, faults: {faults}}}
  Controller: {{impl: AiM, Scheduler: {{impl: FRFCFS}}, RefreshManager: {{impl: AllBank}}, clock_ratio: {ratio}}}
  AddrMapper: {{impl: RoBaRaCoCh}}
"""
MACS = ("PIM_MAC_AB", "PIM_MAC_SB", "PIM_MAC_PB")
REFRESH = ("AllBankHBM3", "No")
OTHERS = ("LD", "ST", "PIM_WR_GB", "PIM_MV_SB", "PIM_MV_GB", "PIM_SFM", "PIM_SET_MODEL", "PIM_BARRIER")


def play(folder, config, lines, **options):
    (folder / "config.yaml").write_text(config)
    (folder / "trace.txt").write_text("\n".join(lines) + "\n")
    result = load_core().run_queued(str(folder / "config.yaml"), folder=str(folder), **options)
    return result.pop("simulated_channels"), result


def attacc_lines(rng, orders, custom, faults):
    """The same request to the channels of one of the orders, one after the other, some hundred times; MACs go along rows.

    With faults only MACs of all banks, since mixes may stand still for ever.
    """
    lines, row = [], 0
    for _ in range(120):
        mac = rng.random() < 0.7
        kind = rng.choice((MACS[:1] if mac else OTHERS[2:]) if faults == "all" else MACS if mac else OTHERS)
        row = row if rng.random() < 0.6 else rng.randrange(3)
        place = rng.randrange(16) << 24 if rng.random() < 0.3 and faults == "none" else 0
        for column in range(rng.choice((1, 1, 2, 32))):
            address = place | row << 10 | column << 5
            for channel in rng.choice(orders):
                lines.append(f"{kind} {address << 2 | channel << 5 if custom else address | channel << 30:#x}")
    return lines


@pytest.mark.parametrize(
    ("orders", "simulated"),
    [
        ([[0, 1, 2, 3]], 1),
        ([[0, 1, 2, 3], [3, 1, 0, 2]], 1),
        ([[1, 3]], 2),
        ([[0, 2], [3, 1]], 2),
        ([[2, 0, 1, 3], [3, 1, 0, 2], [0, 2]], 2),
        ([[2, 0, 1, 3], [2], [1, 3]], 3),
        ([[0, 1, 2, 3], [0, 2]], 4),  # what 1 is refused for would hold up 2, but not 0
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_channels_of_attacc(tmp_path, orders, simulated, seed):
    rng = random.Random(seed)
    faults, mapper = (("none", "HBM3-PIM"), ("none", "HBM3-PIM-Custom"), ("all", "HBM3-PIM"))[seed]
    lines = attacc_lines(rng, orders, seed == 1, faults)
    given = {
        "front": rng.choice((1, 3)),
        "memory": rng.choice((1, 2)),
        "mapper": mapper,
        "faults": faults,
        "refresh": REFRESH[seed == 0],
    }
    once = play(tmp_path, ATTACC.format(reuse="true", **given), lines)
    each = play(tmp_path, ATTACC.format(reuse="false", **given), lines)
    assert (once[0], each[0]) == (simulated, 4)
    assert once[1] == each[1] == play(tmp_path, ATTACC.format(reuse="false", **given), lines, skip=False)[1]


def test_reads_at_other_bytes_of_what_is_written_are_other_requests(tmp_path):
    """Only channel 0 answers its read from the write that waits; both lie in the same column of 32 bytes."""
    lines = [f"ST {channel << 30:#x}" for channel in range(4)] + [
        f"LD {channel << 30 | (channel > 0):#x}" for channel in range(4)
    ]
    given = {"front": 1, "memory": 1, "mapper": "HBM3-PIM", "faults": "all", "refresh": "No"}
    once = play(tmp_path, ATTACC.format(reuse="true", **given), lines)
    assert once == (2, play(tmp_path, ATTACC.format(reuse="false", **given), lines)[1])
    assert [counts.get("RD", 0) for counts in once[1]["command_counts_by_channel"].values()] == [0, 1, 1, 1]


def aim_lines(rng):
    """Rows, moves and replies for channels by mask; normal accesses to one channel each."""
    masks = rng.choice(([0xFFFFFFFF], [0xFFFFFFFF, 0xFF00FF00], [0xF, 0xF0, 0xFF, 1 << 31]))
    lines = []
    for _ in range(60):
        mask, row, count = rng.choice(masks), rng.randrange(3), rng.choice((1, 2, 40, 64))
        lines += rng.choice(
            (
                [f"AiM MAC_ABK {count} {mask} {row}"],
                [f"AiM MAC_ABK {count} {mask} {row}"],
                [
                    f"AiM WR_GB {count} 0 {mask}",
                    f"AiM WR_BIAS 0 {mask}",
                    f"AiM MAC_ABK 64 {mask} {row}",
                    f"AiM RD_MAC 0 {mask}",
                ],
                [f"AiM COPY_BKGB {count} {mask} {rng.randrange(16)} {row}", f"AiM AF {mask}", f"AiM RD_AF 0 {mask}"],
                [f"AiM EWMUL {count} {mask} {row}"],
            )
        )
    return [*lines, "AiM EOC"]


@pytest.mark.parametrize("seed", range(12))
def test_channels_and_columns_of_aim(tmp_path, seed):
    rng = random.Random(seed)
    lines = aim_lines(rng)
    given = {"faults": rng.choice(("all", "none")), "ratio": rng.choice((1, 1, 4))}
    reference = play(tmp_path, AIM.format(reuse="false", fold="false", **given), lines, skip=False)
    assert reference[0] == 32
    for reuse in ("true", "false"):
        for fold in ("true", "false"):
            simulated, found = play(tmp_path, AIM.format(reuse=reuse, fold=fold, **given), lines)
            assert found == reference[1]
            assert simulated <= (5 if reuse == "true" else 32)


def test_columns_are_issued_together_only_where_nobody_listens(tmp_path):
    lines = ["AiM MAC_ABK 64 1 3", "AiM MAC_ABK 64 1 3", "AiM EOC"]
    for name, options in {"plain": {}, "every": {"skip": False}}.items():
        play(
            tmp_path,
            AIM.format(reuse="true", fold="true", faults="all", ratio=1),
            lines,
            command_trace=str(tmp_path / name),
            **options,
        )
    assert (tmp_path / "plain.ch31").read_text() == (tmp_path / "every.ch31").read_text() != ""
