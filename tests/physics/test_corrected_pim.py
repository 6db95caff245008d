"""Without their faults AttAcc's and AiM's controllers keep every bank's times and serve every mix of requests to its end."""

from __future__ import annotations

import random

import pytest

from moeram.errors import ConfigError, EngineError, TraceError
from moeram.hardware.cycle import load_core

from .lockstep_rules import Rules, check

ATTACC_CONFIG = """
Frontend: {{impl: PIMLoadStoreTrace, path: trace.txt, clock_ratio: 1}}
MemorySystem:
  impl: PIMDRAM
  clock_ratio: 1
  DRAM:
    impl: HBM3-PIM
    faults: {faults}
    org: {{preset: HBM3_8Gb_2R, channel: 1}}
    timing: {{preset: HBM3_5.2Gbps}}
  Controller:
    impl: HBM3-PIM
    Scheduler: {{impl: PIM}}
    RefreshManager: {{impl: {refresh}}}
  AddrMapper: {{impl: HBM3-PIM}}
"""
# 5.2 Gb/s, 8 Gb, two ranks: nRC 63, nRAS 45, nRP 19, nRTPS 6, nCWL 6 + nBL 2 + nWR 21, nRFC 456. A precharge of several banks is
# asked for nRTPL 8, one of a single bank too.
ALL = (0, 1, 2, 3)
ATTACC = Rules(
    sizes=(2, 2, 4, 4),
    opens={"ACT": (), "ACTAB": ALL, "ACTSB": (0, 1, 2), "ACTPB": (0,)},
    closes={"PRE": (), "PREA": ALL, "PRESB": (0, 1, 2), "PREPB": (0,)},
    accesses={"RD": ((), 19), "WR": ((), 19), "MACAB": (ALL, 19), "MACSB": ((0, 1, 2), 19), "MACPB": ((0,), 19)},
    writes={"WR"},
    refreshes={"REFab": (1, 2, 3)},
    row_cycle=63, row_active=45, precharge=19, read_to_precharge=8, write_to_precharge=29, refresh=456,
)  # fmt: skip
MACS = ("PIM_MAC_AB", "PIM_MAC_SB", "PIM_MAC_PB")
MOVES = ("PIM_WR_GB", "PIM_MV_SB", "PIM_MV_GB", "PIM_SFM", "PIM_SET_MODEL", "PIM_SET_HEAD", "PIM_BARRIER")


def attacc_mix(seed, length, share_normal, rows):
    """Runs of MACs of one kind over few rows among loads and stores that meet the same rows and banks."""
    rng = random.Random(seed)
    lines = []
    while len(lines) < length:
        kind, row = rng.choice(MACS), rng.randrange(rows)
        place = rng.randrange(64) << 24 if rng.random() < 0.5 else rng.randrange(4) << 24
        for column in range(rng.randrange(1, 33)):
            if rng.random() < share_normal:
                address = rng.randrange(64) << 24 | rng.randrange(rows) << 10 | rng.randrange(32) << 5
                lines.append(f"{rng.choice(('LD', 'ST'))} {address:#x}")
            if rng.random() < 0.05:
                lines.append(f"{rng.choice(MOVES)} {rng.randrange(64) << 24:#x}")
            lines.append(f"{kind} {place | row << 10 | column << 5:#x}")
    return lines


def play(folder, config, lines, **options):
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(config)
    (folder / "trace.txt").write_text("\n".join(lines) + "\n")
    return load_core().run_queued(str(folder / "config.yaml"), folder=str(folder), **options)


@pytest.mark.parametrize("seed", range(12))
def test_attacc_keeps_the_times_of_every_bank(tmp_path, seed):
    share = (0.02, 0.1, 0.4)[seed % 3]
    lines = attacc_mix(seed, 1500, share, rows=(2, 40)[seed % 2])
    config = ATTACC_CONFIG.format(faults="none", refresh="AllBankHBM3")
    result = play(tmp_path, config, lines, command_trace=str(tmp_path / "commands"))
    commands = (tmp_path / "commands.ch0").read_text().splitlines()
    check(ATTACC, commands)
    counts = result["command_counts_by_channel"][0]
    for operation, command in zip(MACS, ("MACAB", "MACSB", "MACPB"), strict=True):
        assert counts.get(command, 0) == sum(line.startswith(operation) for line in lines)
    assert counts["WR"] == sum(line.startswith("ST") for line in lines)
    due = result["memory_system_cycles"] // 5070
    assert 2 * (due - 1) <= counts.get("REFab", 0) <= 2 * due


def test_attacc_deadlock_is_named_and_gone_without_its_fault(tmp_path):
    lines = ["LD 0x190fa480", "ST 0x050fa280", "PIM_MAC_AB 0x2a0"]
    with pytest.raises(EngineError, match=r"channel 0, cycle \d+: nothing can happen any more; blocked: write .*needs PRE first"):
        play(tmp_path, ATTACC_CONFIG.format(faults="all", refresh="No"), lines)
    with pytest.raises(EngineError, match=r"no request was completed|refreshes are not served"):
        play(tmp_path, ATTACC_CONFIG.format(faults="all", refresh="AllBankHBM3"), lines)
    result = play(tmp_path, ATTACC_CONFIG.format(faults="none", refresh="No"), lines)
    assert result["command_counts_by_channel"][0]["WR"] == 1


def test_attacc_livelock_is_named_and_gone_without_its_fault(tmp_path):
    lines = ["PIM_MAC_SB 0x8000000", "PIM_MAC_SB 0x8000400"]  # bank group 1, two rows
    with pytest.raises(EngineError, match=r"no request was completed for 1000000 cycles; blocked: mac-same-bank .*needs PRESB first"):
        play(tmp_path, ATTACC_CONFIG.format(faults="all", refresh="No"), lines)
    only = "{same_bank_precharge_closes_one_group: false}"
    assert play(tmp_path, ATTACC_CONFIG.format(faults=only, refresh="No"), lines)["memory_system_cycles"] < 200


def test_faults_are_named_ones(tmp_path):
    with pytest.raises(ConfigError, match="fault 'rows_acumulate' is unknown in HBM3@attacc; did you mean 'rows_accumulate'"):
        play(tmp_path, ATTACC_CONFIG.format(faults="{rows_acumulate: false}", refresh="No"), ["LD 0x0"])
    with pytest.raises(ConfigError, match="'none', 'all' or a map"):
        play(tmp_path, ATTACC_CONFIG.format(faults="some", refresh="No"), ["LD 0x0"])


@pytest.mark.parametrize("faults", ["all", "none"])
def test_jumping_changes_nothing_attacc(tmp_path, repository, faults):
    lines = attacc_mix(4, 600, 0.1, rows=8)
    if faults == "all":  # a mix that the faults let end
        lines = (repository / "tests" / "data" / "pim" / "a09_mixed_rw_ab" / "trace.txt").read_text().splitlines()
    config = ATTACC_CONFIG.format(faults=faults, refresh="AllBankHBM3")
    jumped = play(tmp_path, config, lines, command_trace=str(tmp_path / "a"))
    ticked = play(tmp_path, config, lines, command_trace=str(tmp_path / "b"), skip=False)
    assert jumped == ticked
    assert (tmp_path / "a.ch0").read_text() == (tmp_path / "b.ch0").read_text()


def test_the_second_opinion_sees_the_faults(tmp_path):
    """PREA two cycles after an activation, REFab right after PREA: the checker objects to what the simulator does."""
    lines = [f"PIM_MAC_AB {row << 10 | column << 5:#x}" for row in range(40) for column in range(32)]
    play(tmp_path, ATTACC_CONFIG.format(faults="all", refresh="AllBankHBM3"), lines, command_trace=str(tmp_path / "commands"))
    with pytest.raises(AssertionError, match="REFab.*tRP"):
        check(ATTACC, (tmp_path / "commands.ch0").read_text().splitlines())


AIM_CONFIG = """
Frontend: {{impl: AiMTrace, path: trace.txt, clock_ratio: 1}}
MemorySystem:
  impl: AiMDRAM
  clock_ratio: 1
  DRAM: {{impl: GDDR6, faults: {faults}, org: {{preset: GDDR6_AiM_org}}, timing: {{preset: GDDR6_AiM_timing}}}}
  Controller:
    impl: AiM
    Scheduler: {{impl: FRFCFS}}
    RefreshManager: {{impl: AllBank}}
  AddrMapper: {{impl: RoBaRaCoCh}}
"""
# The preset as written: nRC 89, nRAS 54, nRP 32, nRTP 12, nCWL 6 + nBL 2 + nWR 33, nRFC 210; opening to a command by its kind.
BOTH = (0, 1)
AIM = Rules(
    sizes=(4, 4),
    opens={"ACT": (), "ACT16": BOTH},
    closes={"PRE": (), "PREA": BOTH},
    accesses={
        "RD": ((), 36), "WR": ((), 28), "MAC": ((), 56), "RDCP": ((), 66), "WRCP": ((), 48), "MAC16": (BOTH, 56),
        "AF16": (BOTH, 86), "EWMUL16": (BOTH, 25), "WRA16": (BOTH, 28),
    },
    writes={"WR", "WRCP", "WRA16"},
    refreshes={"REFab": BOTH},
    row_cycle=89, row_active=54, precharge=32, read_to_precharge=12, write_to_precharge=41, refresh=210,
    closes_after={"WRA16"},
)  # fmt: skip


def aim_mix(seed, length):
    rng = random.Random(seed)
    lines = []
    for _ in range(length):
        mask, bank, row, size = rng.choice((1, 2, 3)), rng.randrange(16), rng.randrange(3), rng.randrange(1, 65)
        lines.append(
            rng.choice(
                (
                    f"AiM WR_SBK 0 {mask} {bank} {row}", f"AiM RD_SBK 0 {mask} {bank} {row}", f"R MEM 0 {bank} {row}",
                    f"W MEM 1 {bank} {row}", f"AiM WR_ABK 0 1 {row}", f"AiM WR_GB {size} 0 {mask}", f"AiM WR_BIAS 0 {mask}",
                    f"AiM RD_MAC 0 {mask}", f"AiM RD_AF 0 {mask}", f"AiM COPY_BKGB {size} {mask} {bank} {row}",
                    f"AiM COPY_GBBK {size} {mask} {bank} {row}", f"AiM MAC_SBK {size} {mask} {bank} {row}",
                    f"AiM MAC_ABK {size} {mask} {row}", f"AiM AF {mask}", f"AiM EWMUL {size} {mask} {row}", "AiM EWADD 4 0 1",
                    "W CFR 2 1", "AiM SYNC",
                )
            )
        )  # fmt: skip
    return [*lines, "AiM EOC"]


@pytest.mark.parametrize("seed", range(8))
def test_aim_keeps_the_times_of_every_bank_and_refreshes(tmp_path, seed):
    lines = aim_mix(seed, 400)
    result = play(tmp_path, AIM_CONFIG.format(faults="none"), lines, command_trace=str(tmp_path / "commands"))
    due = result["memory_system_cycles"] // 3333
    assert due >= 2
    for channel in (0, 1):
        commands = (tmp_path / f"commands.ch{channel}").read_text().splitlines()
        check(AIM, commands)
        counts = result["command_counts_by_channel"][channel]
        assert due - 1 <= counts["REFab"] <= due
        bit = 1 << channel
        macs = sum(int(x[2]) for x in map(str.split, lines) if x[1] == "MAC_ABK" and int(x[3]) & bit)
        assert counts.get("MAC16", 0) == macs
        # What is read back while its write waits is answered from there; nothing else is.
        assert counts.get("WR", 0) == sum(
            (x[1] == "WR_SBK" and int(x[3]) & bit > 0) or (x[:2] == ["W", "MEM"] and int(x[2]) == channel)
            for x in map(str.split, lines)
        )


@pytest.mark.parametrize("faults", ["all", "none"])
@pytest.mark.parametrize("seed", range(3))
def test_jumping_changes_nothing_aim(tmp_path, faults, seed):
    lines = aim_mix(seed, 150)
    config = AIM_CONFIG.format(faults=faults)
    jumped = play(tmp_path, config, lines)  # without a trace, so that equal channels and whole streams are played once
    ticked = play(tmp_path, config, lines, command_trace=str(tmp_path / "b"), skip=False)
    assert jumped.pop("simulated_channels") <= ticked.pop("simulated_channels")
    assert jumped == ticked
    play(tmp_path, config, lines, command_trace=str(tmp_path / "a"))
    for channel in (0, 1, 30, 31):
        assert (tmp_path / f"a.ch{channel}").read_text() == (tmp_path / f"b.ch{channel}").read_text()


def test_sizes_are_checked_without_the_fault(tmp_path):
    lines = ["AiM WR_GB 65 0 1", "AiM EOC"]
    assert play(tmp_path, AIM_CONFIG.format(faults="all"), lines)["command_counts_by_channel"][31]["WRGB"] == 65
    with pytest.raises(TraceError, match=r"trace.txt:1: opsize 65 overflows a buffer of 64 accesses"):
        play(tmp_path, AIM_CONFIG.format(faults="none"), lines)


def test_a_missing_channel_is_named(tmp_path):
    with pytest.raises(TraceError, match=r"trace.txt:1: channel 32 lies outside 0 to 31"):
        play(tmp_path, AIM_CONFIG.format(faults="all"), ["R MEM 32 0 0", "AiM EOC"])
    with pytest.raises(TraceError, match=r"trace.txt:2: unknown operation; did you mean 'PIM_MAC_AB'"):
        play(tmp_path, ATTACC_CONFIG.format(faults="all", refresh="No"), ["LD 0x0", "PIM_MAC_AV 0x0"])
