"""`moeram check commands`: reference traces pass, every damaged one is caught, and wrong files get one message."""

from __future__ import annotations

import gzip
import random
import re
from pathlib import Path

import pytest
import slow_standard
from slow_device import SlowDevice
from subjects import STANDARDS
from typer.testing import CliRunner

from moeram import check
from moeram.cli.main import app

REFERENCES = Path(__file__).resolve().parents[2].parent / "shared" / "goldens" / "ramulator2"
CASES = sorted(str(path.parent.relative_to(REFERENCES)) for path in REFERENCES.glob("*/*/cmd.ch0.gz")) or ["none"]
DDR4 = ["--standard", "DDR4@2.0", "--org", "DDR4_8Gb_x8", "--timing", "DDR4_2400R"]
# nRCD 16, nRAS 39, nRP 16, nCCDL 6, nRTP 9
LAWFUL = [(1, "ACT", 5), (17, "RD", 5), (23, "RD", 5), (40, "PRE", 5), (56, "ACT", 6), (72, "WR", 6)]


def write(path: Path, commands: list[tuple[int, str, int]]) -> Path:
    path.write_text("".join(f"{cycle}, {name}, 0, 0, 1, 2, {row}, 0\n" for cycle, name, row in commands))
    return path


def run(*arguments: str):
    return CliRunner().invoke(app, ["check", "commands", *map(str, arguments)])


@pytest.mark.parametrize("case", CASES)
def test_reference_traces_follow_the_rules(shared, case):
    """What Ramulator 2.0 wrote: no command comes before the rows of its standard allow it, all rows are open when used."""
    folder = shared / "goldens" / "ramulator2" / case
    book = check.rulebook_of_config(folder / "config.yaml")
    for path in sorted(folder.glob("cmd.ch*.gz")):
        if not gzip.decompress(path.read_bytes()):
            continue
        report = check.check_commands(path, book)
        assert report.first is None, report.describe_first()
        assert report.commands == gzip.decompress(path.read_bytes()).count(b"\n")


def replay(case: Path, name: str, organization: str, timing: str, ranks: int, most: int):
    """The first commands of a reference trace and, by the slow model, the first cycle at which each could have come."""
    sizes = {"rank": ranks} if ranks else {}
    model = SlowDevice(
        slow_standard.resolve(slow_standard.read(STANDARDS / f"{name}.yaml"), organization, timing, sizes)
    )
    lines = gzip.decompress((case / "cmd.ch0.gz").read_bytes()).decode().splitlines()[:most]
    ready = []
    for line in lines:
        cycle, command, *address = line.split(", ")
        model.tick(int(cycle))
        ready.append(model.ready_at(command, [int(entry) for entry in address]))
        model.issue(command, [int(entry) for entry in address], int(cycle))
    return [line.split(", ") for line in lines], ready


@pytest.fixture(
    scope="module",
    params=[
        ("ddr4_rand_rd_2ra", "DDR4@2.0", "DDR4_8Gb_x8", "DDR4_3200AA", 2),
        ("ddr3_rand_mix_2ra", "DDR3@2.0", "DDR3_4Gb_x16", "DDR3_1333H", 2),
        ("ddr5_mix_2ra", "DDR5@2.0", "DDR5_16Gb_x4", "DDR5_3200BN", 2),
        ("hbm3_rand_mix", "HBM3@2.0", "HBM3_4Gb", "HBM3_2Gbps", 0),
        ("lpddr5_mix_row0_2ra", "LPDDR5@2.0", "LPDDR5_4Gb_x16", "LPDDR5_6400", 2),
    ],
    ids=lambda parameter: parameter[1],
)
def replayed(request, shared):
    """(rules, commands as lists of words, first possible cycles)."""
    case, name, organization, timing, ranks = request.param
    folder = shared / "goldens" / "ramulator2" / "cases" / case
    commands, ready = replay(folder, name, organization, timing, ranks, 1200)
    return check.rulebook_of_config(folder / "config.yaml"), commands, ready


def verdict(tmp_path: Path, book, commands: list[list[str]]):
    path = tmp_path / "cmd.ch0"
    path.write_text("".join(", ".join(words) + "\n" for words in commands))
    return check.check_commands(path, book).first


def test_one_cycle_early_is_caught(replayed, tmp_path):
    """A command one cycle early is a violation exactly if the slow model refuses it there, and at that very line."""
    book, commands, ready = replayed
    assert verdict(tmp_path, book, commands) is None
    tried = {True: 0, False: 0}
    for at in random.Random(3).sample(range(1, len(commands)), 120):
        cycle = int(commands[at][0])
        if int(commands[at - 1][0]) == cycle - 1:
            continue  # the bus is taken; covered by a test of its own
        moved = [*commands[:at], [str(cycle - 1), *commands[at][1:]], *commands[at + 1 :]]
        found, wrong = verdict(tmp_path, book, moved), ready[at] > cycle - 1
        tried[wrong] += 1
        assert (found is not None) == wrong, (commands[at], ready[at])
        assert not wrong or (found.position, found.missing) == (at, 1)
    assert tried[True] > 20, tried


def test_a_dropped_command_and_swapped_rows_are_caught(replayed, tmp_path):
    """Without its PRE or ACT a bank is in the wrong state; a row that is not the open one cannot be read."""
    book, commands, _ = replayed
    row_entry = len(commands[0]) - 2
    openings = [at for at, words in enumerate(commands) if words[1] in ("ACT", "ACT-2")]
    dropped = openings + [at for at, words in enumerate(commands) if words[1] == "PRE"]
    caught = sum(verdict(tmp_path, book, commands[:at] + commands[at + 1 :]) is not None for at in dropped[:60])
    late = sum(at in dropped[:60] and not used_later(commands, at) for at in dropped[:60])
    assert caught >= min(60, len(dropped)) - late and caught > 5
    for at in openings[:30]:
        if used_later(commands, at):
            words = list(commands[at])
            words[row_entry] = str(int(words[row_entry]) + 1)
            assert verdict(tmp_path, book, [*commands[:at], words, *commands[at + 1 :]]) is not None, commands[at]


def used_later(commands: list[list[str]], at: int) -> bool:
    """True if the bank of a command is named again."""
    return any(words[2:-2] == commands[at][2:-2] for words in commands[at + 1 :])


def test_the_message_names_both_commands_the_rule_and_the_missing_cycles(tmp_path):
    good = write(tmp_path / "good", LAWFUL)
    done = run(good, *DDR4)
    assert done.exit_code == 0 and "6 commands follow the rules of DDR4@2.0" in done.output
    early = [*LAWFUL[:3], (37, "PRE", 5), *LAWFUL[4:]]
    done = run(write(tmp_path / "bad", early), good, *DDR4)
    assert done.exit_code == 1
    assert f"{tmp_path / 'bad'}:4: PRE at cycle 37 (0, 0, 1, 2, 5, 0) comes 3 cycles too early" in done.output
    assert "bad:1: ACT at cycle 1" in done.output and "rule: bank: ACT -> PRE 39 cycles" in done.output
    assert "6 commands follow" in done.output


@pytest.mark.parametrize(
    ("commands", "rule"),
    [
        ([*LAWFUL[:3], *LAWFUL[4:]], "ACT needs a closed bank"),
        ([LAWFUL[0], (17, "RD", 6)], "RD needs its row open"),
        ([(1, "RD", 5)], "RD needs its row open"),
        ([(1, "PRE", 5), (1, "PRE", 5)], "one command a cycle on the command bus"),
        ([(1, "ACT", 5), (2000, "REFab", 5)], "REFab needs a closed bank"),
        ([(100 * step, "ACT", 5) if step % 2 else (100 * step, "PRE", 5) for step in range(9)], ""),
    ],
)
def test_states_and_the_bus(tmp_path, commands, rule):
    done = run(write(tmp_path / "trace", commands), *DDR4)
    assert (done.exit_code == 1) == bool(rule), done.output
    assert rule in done.output


def test_windows_and_siblings(tmp_path):
    """DDR4_2400R: nFAW 26, nRRDS 4; two ranks: read to read nBL + nCS = 6."""
    activates = [f"{1 + 5 * bank}, ACT, 0, 0, {bank % 4}, {bank // 4}, 7, 0\n" for bank in range(5)]
    (tmp_path / "window").write_text("".join(activates))
    done = run(tmp_path / "window", *DDR4)
    assert done.exit_code == 1 and "rank: ACT -> ACT 26 cycles, from the 4th latest ACT" in done.output
    assert "comes 6 cycles too early" in done.output and "window:1: ACT at cycle 1" in done.output
    lines = [
        "1, ACT, 0, 0, 0, 0, 7, 0",
        "2, ACT, 0, 1, 0, 0, 7, 0",
        "40, RD, 0, 0, 0, 0, 7, 0",
        "45, RD, 0, 1, 0, 0, 7, 0",
    ]
    (tmp_path / "ranks").write_text("\n".join(lines) + "\n")
    done = run(tmp_path / "ranks", *DDR4, "-p", "org.rank=2")
    assert done.exit_code == 1 and "rank: RD -> RD 6 cycles, beside another rank" in done.output


def test_all_counts_every_rule(tmp_path):
    commands = [(1, "ACT", 5), (10, "RD", 5), (12, "RD", 5), (13, "RD", 9)]
    done = run(write(tmp_path / "trace", commands), *DDR4, "--all")
    assert done.exit_code == 1 and re.search(r"3  bank: ACT -> RD 16 cycles", done.output), done.output
    assert re.search(r"1  RD needs its row open", done.output)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no command"),
        (b"\n\n", "holds no command"),
        (b"\x00\x01\x02\xff" * 40, "is binary"),
        (gzip.compress(b"1, ACT, 0, 0, 1, 2, 5, 0\n")[:20], "cannot be read"),
        (b"1, ACT, 0, 0, 1, 2, 5\n", ":1: 7 fields"),
        (b"1, ACT, 0, 0, 1, 2, 5, 0\n2, ACT, 0, 0, 1\n", ":2: 5 fields"),
        (b"1, ACT, 0, 0, 1, 2, 5, 0\nx, ACT, 0, 0, 1, 2, 5, 0\n", ":2: 'x' is not a whole number"),
        (b"1, ACT, 0, 0, 1, 2, 5, 0\n2, RD16, 0, 0, 1, 2, 5, 0\n", ":2: DDR4@2.0 has no command 'RD16'; did you mean"),
        (b"1, REFab_end, 0, 0, 1, 2, 5, 0\n", "has no command 'REFab_end'"),
        (b"1, ACT, 0, 0, 9, 2, 5, 0\n", ":1: bankgroup 9 does not exist in DDR4@2.0; it has 4"),
        (b"5, ACT, 0, 0, 1, 2, 5, 0\n4, ACT, 0, 0, 2, 2, 5, 0\n", ":2: cycle 4 after cycle 5"),
        (b"LD 0x12\n", ":1: 1 fields in 'LD 0x12'"),
        (b"1, ACT, 0, 0, 1, 2, 99999999999999999999, 0\n", "is not a whole number"),
    ],
)
def test_a_wrong_file_gets_one_message(tmp_path, content, message):
    path = tmp_path / "trace"
    path.write_bytes(content)
    done = run(path, *DDR4)
    assert done.exit_code == 2 and message in done.output and len(done.output.splitlines()) == 1, done.output


def test_wrong_arguments(tmp_path):
    path = write(tmp_path / "trace", LAWFUL)
    for arguments, message in [
        ([tmp_path / "none", *DDR4], "no such file"),
        ([tmp_path, *DDR4], "is a folder"),
        ([path], "one of --standard and --config is needed"),
        ([path, "--standard", "DDR44"], "'DDR44' is unknown"),
        ([path, "--standard", "DDR4"], "--org is needed; organization presets: DDR4_2Gb_x4"),
        ([path, *DDR4, "-p", "org.ranks=2"], "ranks"),
        ([path, *DDR4, "-p", "timing.nRCDX=2"], "nRCDX"),
        ([path, *DDR4, "-p", "size.rank=2"], "'size' is unknown"),
        ([path, *DDR4, "-p", "org.rank=two"], "'two' is not a whole number"),
        ([path, "--config", tmp_path / "none.yaml"], "none.yaml: no such file"),
    ]:
        done = run(*arguments)
        assert done.exit_code == 2 and message in done.output, done.output
    packed = tmp_path / "trace.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert run(packed, *DDR4).exit_code == 0


def rules_broken(tmp_path: Path, lines: list[str], *arguments: str) -> str:
    (tmp_path / "trace").write_text("\n".join(lines) + "\n")
    done = run(tmp_path / "trace", *arguments)
    assert done.exit_code in (0, 1), done.output
    return done.output


def test_two_buses_and_half_cycles(tmp_path):
    """HBM3@2.1: a row and a column command in one tick are fine, two of a bus are not; an ACT starts with a clock cycle."""
    device = ["--standard", "HBM3@2.1", "--org", "HBM3_8Gb_8hi", "--timing", "HBM3_6400Mbps"]
    # nRCDRD 31 CK, ACT 1.5 CK and RD 1 CK on their buses: 63 ticks
    opened = ["1, ACT, 0, 0, 0, 0, 0, 5, 0"]
    both = [*opened, "65, ACT, 0, 1, 0, 0, 0, 5, 0", "65, RD, 0, 0, 0, 0, 0, 5, 0"]
    assert "3 commands follow the rules of HBM3@2.1" in rules_broken(tmp_path, both, *device)
    early = rules_broken(tmp_path, [*opened, "63, RD, 0, 0, 0, 0, 0, 5, 0"], *device)
    assert "1 cycle too early" in early and "bank: ACT -> RD 63 cycles" in early
    twice = rules_broken(tmp_path, [*opened, "2, PREpb, 0, 1, 0, 0, 0, 5, 0", "2, PREpb, 0, 1, 1, 0, 0, 5, 0"], *device)
    assert "row bus" in twice or "channel: ACT -> PREpb" in twice
    assert "starts only with a clock cycle" in rules_broken(tmp_path, ["2, ACT, 0, 0, 0, 0, 0, 5, 0"], *device)


def test_an_opening_in_two_commands(tmp_path):
    """LPDDR5@2.1: nAAD 8 cycles between the halves, reads need the data clock in step."""
    device = ["--standard", "LPDDR5@2.1", "--org", "LPDDR5_8Gb_x16"]
    halves = ["1, ACT1, 0, 0, 0, 0, 5, 0", "9, ACT2, 0, 0, 0, 0, 5, 0"]
    assert "2 commands follow" in rules_broken(tmp_path, halves, *device)
    late = rules_broken(tmp_path, [halves[0], "10, ACT2, 0, 0, 0, 0, 5, 0"], *device)
    assert "ACT2 follows its first half within 8 cycles" in late
    assert "completes an opening of its row" in rules_broken(
        tmp_path, [halves[0], "9, ACT2, 0, 0, 0, 0, 6, 0"], *device
    )
    read = "60, RD, 0, 0, 0, 0, 5, 0"
    assert "data clock of its rank in step" in rules_broken(tmp_path, [*halves, read], *device)
    assert "4 commands follow" in rules_broken(tmp_path, [*halves, "55, CAS_RD, 0, 0, 0, 0, 5, 0", read], *device)


def test_a_wildcard_over_a_level_of_one_node(tmp_path):
    """HBM3_4Gb has one stack: a PREab closes its banks all the same."""
    device = ["--standard", "HBM3@2.1", "--org", "HBM3_4Gb", "--timing", "HBM3_6400Mbps"]
    lines = ["1, ACT, 0, 1, 0, 2, 3, 5, 0", "1001, PREab, 0, 1, -1, -1, -1, -1, -1", "2001, ACT, 0, 1, 0, 2, 3, 6, 0"]
    assert "3 commands follow" in rules_broken(tmp_path, lines, *device)
    assert "ACT needs a closed bank" in rules_broken(tmp_path, [lines[0], lines[2]], *device)
