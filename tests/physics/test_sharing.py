"""Ordinary and computing requests on one memory: closed forms, conservation, the bounds of every policy, and a second opinion on timing."""

from __future__ import annotations

import random

import pytest

from moeram.errors import ConfigError, EngineError
from moeram.hardware.cycle import load_core

from .lockstep_rules import Rules, check
from .test_corrected_pim import AIM, AIM_CONFIG, ATTACC, ATTACC_CONFIG, aim_mix, attacc_mix
from .test_corrected_pim import play as play_config

CONFIG = """
Frontend:
  impl: AiMTrace
  path: program.txt
  clock_ratio: 1
  {host}
MemorySystem:
  impl: AiMDRAM
  clock_ratio: 1
  DRAM: {{impl: endless.yaml, org: {{preset: {organization}}}, timing: {{preset: HBM3E_8000Mbps}}}}
  Controller:
    impl: AiM
    Scheduler: {{impl: FRFCFS}}
    RefreshManager: {{impl: {refresh}}}
    {sharing}
  AddrMapper: {{impl: RoBaRaCoChMixed}}
"""
POLICIES = [
    "{impl: HostFirst, cap: 1500}", "{impl: UnitsFirst, cap: 1500}", "{impl: UnitsFirst}", "{impl: OldestFirst}",
    "{impl: TimeSlices, host_slice: 700, units_slice: 900}",
]  # fmt: skip
# Programs here are about time alone: a row goes on for as many columns as they say, which no reader of programs takes.
ENDLESS_ROWS = "extends: HBM3@sieve\nedition: endless\ninstructions: {checks_sizes: false}\n"
HOST_ACCESSES = 2 * 6 * 4 * 8192 * 32  # of 32 bytes: row buffers, groups, banks, rows, columns
STREAM = "impl: Stream, order: [bankgroup, column, bank, row]"
# Levels: row buffer, bank group, bank. HBM3E 8 Gb/s: tRCD, tRP 28, tRAS 68, tRC 96, tRTP 12, nCWL 8 + nBL 2 + nWR 32, tRFC 800.
SIEVE = Rules(
    sizes=(2, 6, 4),
    opens={"ACT": (), "ACTAB": (1, 2)},
    closes={"PRE": (), "PREAB": (1, 2), "PREA": (0, 1, 2)},
    accesses={"RD": ((), 28), "WR": ((), 28), "MACAB": ((1, 2), 28)},
    writes={"WR"},
    refreshes={"REFab": (0, 1, 2)},
    row_cycle=96, row_active=68, precharge=28, read_to_precharge=12, write_to_precharge=42, refresh=800,
)  # fmt: skip


def play(folder, lines, *, host="", sharing="", organization="HBM3E_dual", refresh="No", **options):
    config = CONFIG.format(
        host=f"Host: {{{host}}}" if host else "", sharing=f"Sharing: {sharing}" if sharing else "",
        organization=organization, refresh=refresh,
    )  # fmt: skip
    (folder / "config.yaml").write_text(config)
    (folder / "endless.yaml").write_text(ENDLESS_ROWS)
    (folder / "program.txt").write_text("\n".join([*lines, "PIM END"]) + "\n")
    return load_core().run_queued(str(folder / "config.yaml"), folder=str(folder), **options)


def sides(result):
    return result["sharing"]["host"], result["sharing"]["units"]


@pytest.mark.parametrize("policy", ["{impl: HostFirst}", "{impl: UnitsFirst}", "{impl: OldestFirst}"])
def test_disjoint_resources_slow_nobody(tmp_path, policy):
    """A row of the units' buffer and six of the host's: only openings meet, later every command finds its bus free."""
    result = play(tmp_path, ["PIM MAC 4000 1 24 0"], host="impl: Stream, order: [bankgroup, column], requests: 8000", sharing=policy)
    host, units = sides(result)
    assert units["cycles_alone"] == pytest.approx(4000 * 4, abs=100)
    assert host["cycles_alone"] == pytest.approx(8000 * 2, abs=100)
    # What one side's openings cost the other, once: six of the host's nRRD apart, then nRC of the cells; and a taken bus here and there.
    assert units["cycles"] <= units["cycles_alone"] + 5 * 6 + 96 + 4
    assert host["cycles"] <= host["cycles_alone"] + 5 * 6 + 96 + 4
    assert result["sharing"]["units"]["command_bus_share"] + host["command_bus_share"] == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize("policy", ["{impl: HostFirst}", "{impl: UnitsFirst}", "{impl: OldestFirst}", POLICIES[-1]])
def test_on_one_data_bus_the_times_add_up(tmp_path, policy):
    result = play(
        tmp_path, ["PIM RDRES 6000 1"], host="impl: Stream, order: [bankgroup, column], requests: 5000", sharing=policy
    )
    host, units = sides(result)
    both = host["cycles_alone"] + units["cycles_alone"]
    assert both == pytest.approx(22000, rel=0.01)
    assert max(host["cycles"], units["cycles"]) == pytest.approx(both, rel=0.01)
    if "HostFirst" in policy:
        assert host["slowdown"] == pytest.approx(1, abs=0.01)
    if "UnitsFirst" in policy:
        assert units["slowdown"] == pytest.approx(1, abs=0.001)


def test_slices_of_one_data_bus_are_shares_of_it(tmp_path):
    policy = "{impl: TimeSlices, host_slice: 2000, units_slice: 6000}"
    host = "impl: Stream, order: [bankgroup, column]"
    of_host, units = sides(play(tmp_path, ["PIM RDRES 30000 1"], host=host, sharing=policy))
    assert units["slowdown"] == pytest.approx(4 / 3, rel=0.02)
    assert of_host["slowdown"] == pytest.approx(4, rel=0.05)


def random_program(rng, length, buffers):
    """Openings of closed rows, multiplications, vectors and results in any order, with reads of the program among them."""
    lines: list[str] = []
    for _ in range(length):
        bank, row, size = rng.randrange(buffers) * 24, rng.randrange(3), rng.randrange(1, 40)
        lines += rng.choice(
            (
                (f"PIM CLOSE 1 {bank}", f"PIM OPEN 1 {bank} {row}"), (f"PIM MAC {size} 1 {bank} {row}",),
                (f"PIM MAC {size} 1 {bank} {row}",), (f"PIM WRVEC {size} 1",), (f"PIM RDRES {size % 7 + 1} 1",),
                (f"MEM RD 0 {bank + rng.randrange(24)} {row}",),
            )
        )  # fmt: skip
    return lines


def random_case(seed):
    rng = random.Random(seed)
    organization = ("HBM3E_dual", "HBM3E_single")[seed // len(POLICIES) % 2]
    lines = random_program(rng, 60, 2 if organization == "HBM3E_dual" else 1)
    order = rng.sample(["bankgroup", "bank", "column", "row"], rng.randrange(1, 5))
    host = f"impl: Stream, order: [{', '.join(order)}], kind: {rng.choice(('read', 'write'))}, requests: {rng.randrange(100, 900)}, every: {rng.choice((0, 0, 3, 40))}"
    refresh = rng.choice(("AllBank", "No"))
    return lines, {"organization": organization, "host": host, "sharing": POLICIES[seed % len(POLICIES)], "refresh": refresh}


@pytest.mark.parametrize("seed", range(30))
def test_everything_is_served_once_in_time_and_the_same_without_skipping(tmp_path, seed):
    lines, case = random_case(seed)
    result = play(tmp_path, lines, **case, command_trace=str(tmp_path / "commands"))
    commands = (tmp_path / "commands.ch0").read_text().splitlines()
    rules = SIEVE if case["organization"] == "HBM3E_dual" else SIEVE.__class__(**{**SIEVE.__dict__, "sizes": (1, 6, 4)})
    check(rules, commands)
    check_shared_parts(commands)
    issued = result["command_counts_by_channel"][0]
    asked = int(case["host"].split("requests: ")[1].split(",")[0])
    wanted = {"RD": 0, "WR": 0, "MACAB": 0, "WRVEC": 0, "RDRES": 0}
    wanted["RD" if "kind: read" in case["host"] else "WR"] += asked
    for words in map(str.split, lines):
        if words[1] in ("MAC", "WRVEC", "RDRES"):
            wanted[{"MAC": "MACAB"}.get(words[1], words[1])] += int(words[2])
        wanted["RD"] += words[1] == "RD"
    # A read of what waits to be written is answered from there.
    assert {name: issued.get(name, 0) for name in wanted if name != "RD"} == {name: n for name, n in wanted.items() if name != "RD"}
    assert wanted["RD"] - (40 if "write" in case["host"] else 0) <= issued.get("RD", 0) <= wanted["RD"]
    assert result["sharing"]["host"]["requests"] == asked
    for side in sides(result):
        bound = side["longest_wait_bound"]
        assert bound is None or side["longest_wait"] <= bound
    (tmp_path / "again").mkdir()
    again = play(tmp_path / "again", lines, **case, command_trace=str(tmp_path / "again" / "commands"), skip=False)
    assert again == result
    assert (tmp_path / "again" / "commands.ch0").read_text().splitlines() == commands


def check_shared_parts(commands):
    """One command a cycle, data buses of one transfer every two cycles, cells that two row buffers share."""
    last, opened = {}, {}
    for text in commands:
        parts = [part.strip() for part in text.split(",")]
        now, name = int(parts[0]), parts[1]
        assert now > last.get("command", 0), text
        last["command"] = now
        for bus, names in (("out", ("RD", "RDRES")), ("in", ("WR", "WRVEC"))):
            if name in names:
                assert now - last.get(bus, -9) >= 2, text
                last[bus] = now
        if name in ("WR", "WRVEC"):
            assert now - last.get("out", -99) >= 28 + 2 - 8 + 3, text
        if name in ("RD", "RDRES"):
            assert now - last.get("in", -99) >= 8 + 2 + 12, text
        if name == "MACAB":
            assert now - last.get(("rows", parts[3]), -99) >= 5 * 12 + 28, text
        if name in ("ACT", "ACTAB"):
            if name == "ACTAB":
                last["rows", parts[3]] = now
            cells = [(int(parts[4]), int(parts[5]))] if name == "ACT" else [(g, b) for g in range(6) for b in range(4)]
            for cell in cells:
                when, who = opened.get(cell, (-999, name))
                if "ACTAB" in (name, who):
                    assert now - when >= 96, text
                opened[cell] = (now, name)


@pytest.mark.parametrize("policy", [*POLICIES, "{impl: HostFirst}"])
def test_without_the_other_side_nothing_changes(tmp_path, policy):
    lines = [line for line in random_program(random.Random(5), 120, 2) if not line.startswith("MEM")]
    plain = play(tmp_path, lines, refresh="AllBank", command_trace=str(tmp_path / "plain"))
    shared = play(tmp_path, lines, refresh="AllBank", sharing=policy, command_trace=str(tmp_path / "shared"))
    assert plain.pop("warnings") == []
    assert ["no ordinary requests stand beside the program" in warning for warning in shared.pop("warnings")] == [True]
    assert plain == shared
    assert (tmp_path / "plain.ch0").read_text() == (tmp_path / "shared.ch0").read_text()
    both = play(tmp_path, lines, refresh="AllBank", sharing=policy, host=f"{STREAM}, requests: 500")
    assert both["sharing"]["units"]["cycles_alone"] == plain["memory_system_cycles"]


ROWS_IN_TURN = [f"PIM MAC 1 1 0 {row % 2}" for row in range(400)]
# Of each policy: who is starved, by what, and how near its bound that comes.
ADVERSARIES = {
    "host first, one bank": ("{impl: HostFirst, cap: 2000}", "units", ["PIM MAC 60 1 0 0"], "impl: Stream, order: [row]", 0.75),
    "units first, one long row": ("{impl: UnitsFirst, cap: 2000}", "host", ["PIM MAC 9000 1 0 0"], STREAM, 0.75),
    "the preferred side, interrupted": ("{impl: UnitsFirst, cap: 500}", "units", ROWS_IN_TURN, "impl: Stream, order: [row], kind: write", 0.25),
    "the preferred side alone": ("{impl: UnitsFirst}", "units", ROWS_IN_TURN, "impl: Stream, order: [row]", 0.4),
    "the units' slice": ("{impl: TimeSlices, host_slice: 500, units_slice: 3000}", "host", ROWS_IN_TURN, "impl: Stream, order: [row]", 0.75),
    "the host's slice": ("{impl: TimeSlices, host_slice: 3000, units_slice: 500}", "units", ROWS_IN_TURN, "impl: Stream, order: [row]", 0.75),
    "33 older rows": ("{impl: OldestFirst}", "host", ROWS_IN_TURN, "impl: Stream, order: [row], every: 9000", 0.45),
    # Its queues of writes and of opened rows stay all but empty here: the bound counts them too.
    "33 older reads": ("{impl: OldestFirst}", "units", ["PIM MAC 1 1 0 0", "PIM RDRES 1 1"] * 50, "impl: Stream, order: [row]", 0.08),
}  # fmt: skip


@pytest.mark.parametrize("name", ADVERSARIES)
def test_bounds_hold_against_adversaries_and_are_come_near(tmp_path, name):
    policy, starved, lines, host, near = ADVERSARIES[name]
    for refresh in ("No", "AllBank"):
        result = play(tmp_path, lines, host=host, sharing=policy, organization="HBM3E_single", refresh=refresh)
        side = result["sharing"][starved]
        assert side["longest_wait"] <= side["longest_wait_bound"]
        if refresh == "No":
            assert side["longest_wait"] >= near * side["longest_wait_bound"]


def test_a_starved_program_is_named(tmp_path):
    with pytest.raises(EngineError, match=r"no request of the program \(HostFirst\) was completed for 1000000 cycles; blocked"):
        play(tmp_path, ["PIM MAC 60 1 0 0"], host=STREAM, sharing="{impl: HostFirst}", organization="HBM3E_single")


def test_a_trace_of_loads_and_stores(tmp_path):
    rng = random.Random(1)
    (tmp_path / "host.txt").write_text("".join(f"{rng.choice(('LD', 'ST'))} {rng.randrange(HOST_ACCESSES) * 32:#x}\n" for _ in range(700)))
    result = play(tmp_path, ["PIM MAC 900 1 24 0"], host="impl: LoadStoreTrace, path: host.txt", sharing="{impl: OldestFirst}")
    assert result["sharing"]["host"]["requests"] == 700
    counts = result["command_counts_by_channel"][0]
    assert counts["RD"] + counts["WR"] == 700


@pytest.mark.parametrize(
    ("host", "sharing", "message"),
    [
        (STREAM, "", "need MemorySystem.Controller.Sharing"),
        ("impl: Stream, order: [bankgrup]", "{impl: OldestFirst}", "no level below the channel of HBM3; did you mean 'bankgroup'"),
        ("impl: Stream, order: [row, row]", "{impl: OldestFirst}", "level 'row' stands twice"),
        ("impl: Stream, order: [row], at: {bank: 4}", "{impl: OldestFirst}", "at.bank: must lie between 0 and 3"),
        ("impl: Stream, order: [row], request: 4", "{impl: OldestFirst}", "key 'request' means nothing here"),
        (STREAM, "{impl: OldestFirst, cap: 5000}", "has no cap"),
        (STREAM, "{impl: TimeSlices, host_slice: 5000, units_slice: 10}", "units_slice: 10 cycles are too short"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, host, sharing, message):
    with pytest.raises(ConfigError, match=message):
        play(tmp_path, [], host=host, sharing=sharing)


SHARED = "\n    Sharing: {sharing}\n  AddrMapper:"


def with_host(config, sharing):
    """A configuration of the other tests with the host's stream and a policy."""
    frontend, rest = config.split("}}", 1)
    order = "[bankgroup, column, bank, row]"
    config = f"{frontend}, Host: {{{{impl: Stream, order: {order}, requests: 700, every: 3}}}}}}}}{rest}"
    return config.replace("\n  AddrMapper:", SHARED.replace("{sharing}", sharing.replace("{", "{{").replace("}", "}}")))


@pytest.mark.parametrize("policy", POLICIES)
def test_attacc_and_aim_share_without_their_faults(tmp_path, policy):
    """Units' commands as many as in the program, all host requests, every bank's times, and no tick that skipping misses."""
    policy = policy.replace("700", "1500").replace("900", "1500").replace("cap: 1500", "cap: 4000")
    cases = {
        "attacc": (ATTACC, with_host(ATTACC_CONFIG, policy).format(faults="none", refresh="AllBankHBM3"), attacc_mix(3, 400, 0.05, rows=8)),
        "aim": (AIM, with_host(AIM_CONFIG, policy).format(faults="none"), aim_mix(2, 150)),
    }  # fmt: skip
    for name, (rules, config, lines) in cases.items():
        result = play_config(tmp_path / name, config, lines, command_trace=str(tmp_path / f"{name}.commands"))
        check(rules, (tmp_path / f"{name}.commands.ch0").read_text().splitlines())
        counts = result["command_counts_by_channel"]
        if name == "attacc":
            assert counts[0]["MACAB"] == sum(line.startswith("PIM_MAC_AB") for line in lines)
            assert counts[0]["RD"] + counts[0]["WR"] == 700 + sum(line.startswith(("LD", "ST")) for line in lines)
        else:
            assert sum(channel.get("MAC16", 0) for channel in counts.values()) == sum(
                int(line.split()[2]) * int(line.split()[3]).bit_count() for line in lines if "MAC_ABK" in line
            )
        channels = len(counts)
        assert result["sharing"]["host"]["requests"] == 700 * channels
        for side in sides(result):
            bound = side["longest_wait_bound"]
            assert bound is None or side["longest_wait"] <= bound
        ticked = play_config(tmp_path / name, config, lines, command_trace=str(tmp_path / f"{name}.ticked"), skip=False)
        assert ticked == result
        assert (tmp_path / f"{name}.ticked.ch0").read_text() == (tmp_path / f"{name}.commands.ch0").read_text()


def test_a_controller_with_faults_is_not_shared(tmp_path):
    config = with_host(AIM_CONFIG, "{impl: OldestFirst}").format(faults="all")
    with pytest.raises(ConfigError, match=r"Sharing: GDDR6@aim cannot take .* its faults are on \(DRAM.faults: none\)"):
        play_config(tmp_path / "aim", config, ["AiM EOC"])
