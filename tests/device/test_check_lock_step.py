"""`moeram check commands` on memories that compute: commands of many banks in lock step, in lawful and in damaged traces."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from moeram import check, pim
from moeram.cli.main import app
from moeram.errors import ConfigError
from moeram.pim.engine import time_program

# Standard: (program's sizes, opens banks in lock step, multiplies, timing parameter between them).
DESIGNS = {
    "HBM3@sieve": ({"outputs": 512, "inputs": 2048}, "ACTAB", "MACAB"),
    "GDDR6@aim": ({"outputs": 2048, "inputs": 4096}, "ACT16", "MAC16"),
    "HBM3@attacc": ({"outputs": 2048, "inputs": 4096}, "ACTAB", "MACAB"),
    "HBM2@hbm-pim": ({"outputs": 512, "inputs": 1024}, "ACTH", "RDH"),
    "HBM3@duplex": ({"outputs": 512, "inputs": 2048}, "ACTU", "MACU"),
    "HBM3@duplex-bank": ({"outputs": 1024, "inputs": 2048}, "ACTU", "MACU"),
    "HBM3@duplex-bankgroup": ({"outputs": 512, "inputs": 1024}, "ACTU", "MACU"),
}


@pytest.fixture(scope="module", params=DESIGNS)
def played(request, tmp_path_factory):
    """(rules, lines of channel 0's trace, opening command, multiplying command), refreshed, without a simulator's faults."""
    sizes, opening, multiplying = DESIGNS[request.param]
    folder = tmp_path_factory.mktemp("played")
    design = pim.load_design(request.param, with_faults=False)
    time_program(design, pim.lower_kernel(design, "gemv", sizes).text(), command_trace=folder / "cmd")
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(design.memory().configuration()))
    return check.rulebook_of_config(config), (folder / "cmd.ch0").read_text().splitlines(), opening, multiplying


def verdict(book, lines: list[str], folder: Path) -> check.CommandReport:
    path = folder / "cmd.ch0"
    path.write_text("\n".join(lines) + "\n")
    return check.check_commands(path, book)


def name(line: str) -> str:
    return line.split(", ")[1]


def test_lawful_traces_pass(played, tmp_path):
    book, lines, opening, multiplying = played
    report = verdict(book, lines, tmp_path)
    assert report.first is None, report.describe_first()
    named = [name(line) for line in lines]
    assert report.commands == len(lines) and named.count(opening) > 1 and named.count(multiplying) > 50


def shared(book, line: str) -> dict[int, str]:
    """Level: entry of the address, where all banks of the command have the same one."""
    command, address = book.commands[name(line)], line.split(", ")[2:]
    return {level: address[level] for level in range(1, book.bank_level + 1) if level not in command.spans}


def test_the_first_multiplication_one_cycle_early_is_caught(played, tmp_path):
    """It waits for the activation of its own banks, or for the vector."""
    book, lines, opening, multiplying = played
    cycles = [int(line.split(", ")[0]) for line in lines]
    at = next(at for at, line in enumerate(lines) if name(line) == multiplying and cycles[at - 1] < cycles[at] - 1)
    assert opening in [name(line) for line in lines[:at]]
    cycle, rest = lines[at].split(", ", 1)
    first = verdict(book, [*lines[:at], f"{int(cycle) - 1}, {rest}", *lines[at + 1 :]], tmp_path).first
    assert first is not None and (first.position, first.missing) == (at, 1)
    assert f"-> {multiplying}" in first.rule


def closing_before_an_opening(book, lines: list[str], opening: str) -> tuple[int, int]:
    """Lines of the second opening of some banks and of the closing of all of them before it."""
    openings = [at for at, line in enumerate(lines) if name(line) == opening]
    again = next(
        b for n, b in enumerate(openings) if any(shared(book, lines[a]) == shared(book, lines[b]) for a in openings[:n])
    )

    def closes(line: str) -> bool:
        command, own = book.commands[name(line)], shared(book, lines[again])
        return command.effect == "close" and all(own.get(level) == entry for level, entry in shared(book, line).items())

    return again, max(at for at in range(again) if closes(lines[at]))


def test_an_opening_one_cycle_too_soon_after_its_closing_is_caught(played, tmp_path):
    book, lines, opening, _ = played
    again, closing = closing_before_an_opening(book, lines, opening)
    closed, closer = lines[closing].split(", ")[:2]
    least = min(row.cycles for row in book.rows if (row.preceding, row.following) == (closer, opening))
    moved = f"{int(closed) + least - 1}, {lines[again].split(', ', 1)[1]}"
    trace = sorted([*lines[:again], moved, *lines[again + 1 :]], key=lambda line: int(line.split(", ")[0]))
    assert any(f"{closer} -> {opening}" in rule for rule in verdict(book, trace, tmp_path).counts)


def test_a_missing_opening_and_a_missing_closing_are_caught(played, tmp_path):
    book, lines, opening, _ = played
    at = next(at for at, line in enumerate(lines) if name(line) == opening)
    first = verdict(book, lines[:at] + lines[at + 1 :], tmp_path).first
    assert first is not None and first.rule.endswith("needs its row open")
    _, closing = closing_before_an_opening(book, lines, opening)
    first = verdict(book, lines[:closing] + lines[closing + 1 :], tmp_path).first
    assert first is not None and first.rule.endswith("needs a closed bank")


def test_another_row_in_one_bank_of_the_span_is_caught(played, tmp_path):
    """The multiplication needs its row in all banks; the activation that spoils it needs a closed bank."""
    book, lines, _, multiplying = played
    at = next(at for at, line in enumerate(lines) if name(line) == multiplying)
    cycle, _, *address = lines[at].split(", ")
    address[book.bank_level + 1] = str(int(address[book.bank_level + 1]) + 1)
    for level in book.commands[multiplying].spans:
        address[level] = str(book.counts[level] - 1)
    alone = f"{int(cycle) - 1}, ACT, {', '.join(address)}"
    counts = verdict(book, [*lines[:at], alone, *lines[at:]], tmp_path).counts
    assert "ACT needs a closed bank" in counts and f"{multiplying} needs its row open" in counts


@pytest.mark.parametrize("standard", ["HBM3@attacc", "GDDR6@aim"])
def test_faults_of_a_simulator_are_refused(standard, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(pim.load_design(standard).memory().configuration()))
    with pytest.raises(ConfigError, match="faults: none"):
        check.rulebook_of_config(config)
    (tmp_path / "cmd.ch0").write_text("1, ACT, 0, 0, 0, 0, 0, 0\n")
    result = CliRunner().invoke(app, ["check", "commands", str(tmp_path / "cmd.ch0"), "--standard", standard])
    assert result.exit_code == 2 and "faults: none" in result.output
