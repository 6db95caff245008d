"""What a program line may not ask for, design by design: refused before anything runs, with the line; and what waits for ever is named."""

from __future__ import annotations

import pytest

from moeram.errors import ConfigError, EngineError, TraceError
from moeram.hardware.cycle import load_core
from moeram.hardware.program_runs import ProgramMemory, check_program, play_program
from moeram.pim import load_design

DESIGNS = {
    "attacc": ("HBM3@attacc", {"sizes": {"channel": 2}, "with_faults": False}),
    "aim": ("GDDR6@aim", {"sizes": {"channel": 4, "density": 16384}, "with_faults": False}),
    "sieve": ("HBM3@sieve", {"sizes": {"channel": 2}}),
    "hbm-pim": ("HBM2@hbm-pim", {}),
    "duplex": ("HBM3@duplex", {}),
}


def memory(name):
    standard, options = DESIGNS[name]
    return load_design(standard, **options).memory()


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        # Buffers.
        ("attacc", ["PIM_WR_GB 0x1fe0", "PIM_WR_GB 0x2000"], r":2: entry 256 .* overflows buffer gemv of 256 accesses"),
        ("attacc", ["PIM_MV_SB 0x10000"], r":1: entry 2048 .* overflows buffer softmax of 2048 accesses"),
        ("attacc", ["PIM_MV_GB 0x2000"], r":1: entry 256 .* overflows buffer gemv of 256 accesses"),
        ("aim", ["AiM WR_GB 65 0 1"], r":1: opsize 65 overflows a buffer of 64 accesses"),
        ("sieve", ["PIM WRVEC 257 1"], r":1: opsize 257 overflows a buffer of 256 accesses"),
        ("duplex", ["PIM WRVEC 2 1 32767"], r":1: 2 accesses from entry 32767 on overflow a buffer of 32768 accesses"),
        ("duplex", ["PIM WRVEC 2 1 9223372036854775807"], r":1: 2 accesses from entry 9223372036854775807 on overflow"),
        # Columns of a row.
        ("aim", ["AiM SYNC", "AiM MAC_ABK 65 1 0"], r":2: 65 columns from 0 on leave the row, which has 64"),
        ("aim", ["AiM COPY_GBBK 64 1 3 0", "AiM MAC_SBK 65 1 3 0"], r":2: 65 columns from 0 on leave the row, which has 64"),
        ("sieve", ["PIM MAC 33 1 0 0"], r":1: 33 columns leave row 0, which has 32 \(channel 0\)"),
        ("sieve", ["PIM OPEN 3 0 7", "PIM MAC 20 3 0 7", "PIM MAC 13 2 0 7"], r":3: 13 columns behind 20 of them leave row 7.* \(channel 1\)"),
        ("duplex", ["PIM MAC 2 1 0 0 31 1"], r":1: 2 columns from 31 on leave the row, which has 32"),
        ("hbm-pim", ["MEM RD 2 1 0 0 31"], r":1: 2 columns from 31 on leave the row, which has 32"),
        # Operands that are not aligned.
        ("attacc", ["LD 0x20", "PIM_MAC_AB 0x21"], r":2: address 33 is not aligned to an access of 32 bytes"),
        ("sieve", ["PIM OPEN 1 1 0"], r":1: bank 1 is not the first of those that PIM OPEN reaches together, which is 0"),
        ("sieve", ["PIM MAC 1 1 25 0"], r":1: bank 25 is not the first of those that PIM MAC reaches together, which is 24"),
        ("duplex", ["PIM CLOSE 1 15"], r":1: bank 15 is not the first of those that PIM CLOSE reaches together, which is 8"),
        ("hbm-pim", ["PIM WR 1 1 2 0 0"], r":1: PIM WR does not go to bank 2, only to 0 to 1"),
        # Places that do not exist.
        ("attacc", ["ST 0x7fffffe0", "ST 0x80000000"], r":2: address 2147483648 lies beyond the memory, which ends at 2147483648"),
        ("aim", ["R MEM 0 16 0"], r":1: bank 16 lies outside 0 to 15"),
        ("aim", ["AiM MAC_ABK 1 1 16384"], r":1: row 16384 lies outside 0 to 16383"),
        ("sieve", ["MEM RD 0 48 0"], r":1: bank 48 lies outside 0 to 47"),
        ("hbm-pim", ["MEM RD 1 1 16 0 0"], r":1: bank 16 lies outside 0 to 15"),
        ("duplex", ["MEM RD 1 1 32 0 0"], r":1: bank 32 lies outside 0 to 31"),
        # Registers.
        ("aim", ["W GPR 16384"], r":1: general register 16384 lies outside 0 to 16383"),
        ("aim", ["AiM WR_GB 64 16321 1"], r":1: 64 general registers from 16321 on lie outside 0 to 16383"),
        ("aim", ["AiM RD_MAC 16382 3", "AiM RD_MAC 16382 7"], r":2: 3 general registers from 16382 on lie outside 0 to 16383"),
        ("aim", ["AiM EWADD 4 0 16381"], r":1: 4 general registers from 16381 on lie outside 0 to 16383"),
        ("aim", ["W CFR 3 0"], r":1: register 3 lies outside 0 to 2"),
        ("aim", ["W CFR 2 1610612736"], r":1: data 1610612736 lies outside 0 to 1610612735"),
        # Numbers.
        ("aim", ["AiM MAC_ABK 0 1 0"], r":1: opsize 0 lies outside 1 to 16777216"),
        ("sieve", ["PIM WRVEC 1 99999999999999999999"], r":1: '99999999999999999999' is too large a number"),
        ("duplex", ["PIM WRVEC 0x1ffffffffffffffff 1 0"], r":1: '0x1ffffffffffffffff' is too large a number"),
        ("sieve", ["PIM WRVEC -1 1"], r":1: '-1' is no number"),
        # Modes.
        ("hbm-pim", ["PIM RD 1 1 0 0 0"], r":1: PIM RD needs mode HAB or HAB_PIM, and the mode is SB from the beginning"),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_is_refused(name, lines, message):
    end = [] if name == "attacc" else [{"aim": "AiM EOC"}.get(name, "PIM END")]
    with pytest.raises(TraceError, match=rf"^program.txt{message}"):
        check_program(memory(name), "\n".join([*lines, *end, ""]))


def test_what_just_fits_is_taken():
    for name, lines in (
        ("attacc", ["PIM_WR_GB 0x1fe0", "PIM_MV_SB 0xffe0", "PIM_MV_GB 0x1fe0", "ST 0x7fffffe0", "PIM_SET_HEAD 0x7fffffe0"]),
        ("aim", ["AiM WR_GB 64 16320 15", "AiM MAC_ABK 64 15 16383", "AiM RD_MAC 16380 15", "AiM EWADD 4 16380 0", "W CFR 2 1610612735", "AiM EOC"]),
        ("sieve", ["PIM OPEN 3 24 7", "PIM MAC 20 3 24 7", "PIM MAC 12 3 24 7", "PIM MAC 32 3 0 7", "PIM OPEN 3 24 7", "PIM MAC 32 3 24 7", "PIM END"]),
        ("duplex", ["PIM WRVEC 1 1 32767", "PIM OPEN 1 24 0", "PIM MAC 1 1 24 0 31 8", "PIM END"]),
    ):  # fmt: skip
        check_program(memory(name), "\n".join([*lines, ""]))


@pytest.mark.parametrize(
    ("standard", "line", "fault"),
    [
        ("HBM3@attacc", "PIM_WR_GB 0x21", "addresses_unchecked"),
        ("HBM3@attacc", "LD 0x80000000", "addresses_unchecked"),
        ("HBM3@attacc", "PIM_MV_SB 0x10000", "addresses_unchecked"),
        ("GDDR6@aim", "AiM MAC_ABK 65 1 0", "sizes_unchecked"),
        ("GDDR6@aim", "AiM WR_GB 4 16384 1", "sizes_unchecked"),
    ],
)
def test_the_simulators_own_editions_take_what_those_take(standard, line, fault):
    design = load_design(standard, sizes={"channel": 2} if "attacc" in standard else {})
    text = "\n".join([line, *(["AiM EOC"] if "aim" in standard else []), ""])
    assert sum(play_program(design.memory(), text)["command_counts_by_channel"][0 if "attacc" in standard else 31].values()) > 0
    alone = ProgramMemory(**{**vars(design.memory()), "faults": {fault: False}})
    for checked in (design.memory(checked=True), alone):
        with pytest.raises(TraceError, match=r"^program.txt:1: "):
            play_program(checked, text)


WAITS = {
    # What is no longer answered, a program that waits for it in line 2, and what the message says.
    "aim": ("{markers: [end]}", ["AiM WR_BIAS 0 1", "AiM SYNC", "AiM EOC"], r":2: AiM SYNC waits for ever .*'sync' must be among"),
    "sieve": ("{replies: [read]}", ["PIM WRVEC 1 1", "PIM RDRES 1 1", "PIM END"], r":2: PIM RDRES waits for ever .*'read-results' must be among"),
    "duplex": ("{replies: [read]}", ["PIM WRVEC 1 1 0", "PIM RDRES 1 1", "PIM END"], r":2: PIM RDRES waits for ever .*'read-results' must be among"),
    "hbm-pim": ("{markers: []}", ["MEM RD 1 1 0 0 0", "PIM END"], r":2: PIM END waits for ever .*'end' must be among"),
}  # fmt: skip


@pytest.mark.parametrize("name", WAITS)
def test_a_barrier_that_is_never_met_is_named_with_its_line(tmp_path, name):
    change, lines, message = WAITS[name]
    command = {"aim": "SYNC", "hbm-pim": "EOC"}.get(name)
    latency = f", latency: {{{command}: '1'}}" if command else ""
    path = tmp_path / "changed.yaml"
    path.write_text(f"extends: {DESIGNS[name][0]}\nedition: changed\ncontroller: {change[:-1]}{latency}}}\n")
    changed = ProgramMemory(**{**vars(memory(name)), "standard": str(path)})
    with pytest.raises(EngineError, match=rf"program.txt{message}"):
        play_program(changed, "\n".join([*lines, ""]))


def test_requests_behind_a_barrier_that_wait_for_ever_are_named_with_their_line():
    """The deadlock of the AttAcc simulator (attacc_pim.md 11.5), with a barrier behind it."""
    lines = ["LD 0x190fa480", "ST 0x050fa280", "PIM_MAC_AB 0x2a0", "PIM_BARRIER 0x0", "PIM_WR_GB 0x0"]
    faulty = load_design("HBM3@attacc", sizes={"channel": 1}).memory(refresh=False)
    with pytest.raises(EngineError, match=r"^program.txt: channel 0, .*blocked: write of line 2 \(channel 0"):
        play_program(faulty, "\n".join([*lines, ""]))
    corrected = load_design("HBM3@attacc", sizes={"channel": 1}, with_faults=False).memory(refresh=False)
    assert play_program(corrected, "\n".join([*lines, ""]))["command_counts_by_channel"][0]["WRGB"] == 1


@pytest.mark.parametrize(
    ("name", "opening", "lines", "end"),
    [
        ("sieve", "ACTAB", ["PIM OPEN 1 0 7", "PIM MAC 32 1 0 7"], ["PIM RDRES 1 1", "PIM END"]),
        ("duplex", "ACTU", ["PIM OPEN 1 0 7", "PIM MAC 32 1 0 7 0 1"], ["PIM RDRES 1 1", "PIM END"]),
    ],
)
def test_a_row_that_is_open_is_not_opened_again(name, opening, lines, end):
    """An activation of an open bank is illegal (JEDEC); to ask for it again costs neither a command nor more than a cycle or two."""
    plain = ProgramMemory(**{**vars(memory(name)), "refresh": False})
    once = play_program(plain, "\n".join([*lines, *end, ""]))
    again = play_program(plain, "\n".join([lines[0], lines[0], *lines[1:], lines[0], *end, ""]))
    assert again["command_counts_by_channel"] == once["command_counts_by_channel"]
    assert once["command_counts_by_channel"][0][opening] == 1
    assert once["memory_system_cycles"] <= again["memory_system_cycles"] <= once["memory_system_cycles"] + 4
    # Another row is opened, after the first was closed.
    other = play_program(plain, "\n".join([*lines, lines[0].removesuffix("7") + "9", *end, ""]))
    assert other["command_counts_by_channel"][0][opening] == 2


def test_keys_that_no_simulator_ignores_are_refused(tmp_path):
    text = """
Frontend: {impl: AiMTrace, path: program.txt, clock_ratio: 1}
MemorySystem:
  impl: AiMDRAM
  clock_ratio: 1
  DRAM: {impl: %s, org: {preset: %s}, timing: {preset: %s}}
  Controller: {impl: AiM, cap: 4, Scheduler: {impl: FRFCFS}, RefreshManager: {impl: AllBank}}
  AddrMapper: {impl: RoBaRaCoCh}
"""
    (tmp_path / "program.txt").write_text("AiM EOC\n")
    path = tmp_path / "config.yaml"
    path.write_text(text % ("GDDR6", "GDDR6_AiM_org", "GDDR6_AiM_timing"))
    warnings = load_core().run_queued(str(path), folder=str(tmp_path))["warnings"]
    assert any("key 'cap' is ignored here, as the AiM simulator does" in warning for warning in warnings)
    (tmp_path / "program.txt").write_text("PIM END\n")
    path.write_text(text % ("HBM3@sieve", "HBM3E_dual", "HBM3E_8000Mbps"))
    with pytest.raises(ConfigError, match=r"config.yaml:7: MemorySystem.Controller.cap: key 'cap' means nothing here"):
        load_core().run_queued(str(path), folder=str(tmp_path))
