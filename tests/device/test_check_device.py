"""`moeram check device`: what passes, what fails for a known reason, and that a wrong device is noticed."""

from __future__ import annotations

import re

import pytest
from subjects import NAMES, pair_of, subject
from typer.testing import CliRunner

from moeram import check
from moeram.cli.main import app

NEVER_REFRESHED = {"stream bandwidth", "refreshes of each node"}
# Faults of edition 2.0 that the standards' data files name.
KNOWN_FAULTS = {
    "GDDR6@2.0": NEVER_REFRESHED,
    "HBM@2.0": NEVER_REFRESHED,
    "HBM2@2.0": NEVER_REFRESHED,
    "HBM3@2.0": NEVER_REFRESHED,
    "LPDDR5@2.0": {"runs that end"},
}


def failing(report: check.DeviceReport) -> set[str]:
    assert not report.refused, report.refused
    return {line.name for line in report.lines if not line.passed}


@pytest.mark.parametrize(
    "last", [pytest.param(False, marks=pytest.mark.slow), True], ids=["first presets", "last presets"]
)
@pytest.mark.parametrize("name", NAMES)
def test_every_standard_does_what_its_timing_says(name, last):
    """95 % of the peak with refresh, the latency and the row cycle of the closed forms; else only faults that are known."""
    report = check.check_device(name, *pair_of(name, last))
    assert failing(report) == KNOWN_FAULTS.get(name, set()), report


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("@2.1")])
def test_every_preset_of_the_corrected_editions(name):
    """Each organisation with the first timing, each timing with the first organisation."""
    pairs = check.preset_pairs(name)
    first = pairs[0]
    for pair in pairs:
        if pair[0] == first[0] or pair[1] == first[1]:
            report = check.check_device(name, *pair)
            assert failing(report) == set(), report


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda rows: replace(rows, "rank", "RD", "RD", "nCCDL + 2"), "stream bandwidth"),
        (lambda rows: replace(rows, "bank", "ACT", "RD", "nRCD + 1"), "unloaded latency, closed row"),
        (lambda rows: replace(rows, "bank", "ACT", "PRE", "nRAS + nRP"), "row cycle of one bank"),
        (lambda rows: [row for row in rows if row[-1] != "last 4"], "most activates in nFAW"),
    ],
)
def test_a_wrong_row_is_noticed(tmp_path, change, line):
    """A data file with one row changed and its timing parameters left: the closed forms disagree."""

    def apply(data):
        data["timing"]["constraints"] = change(data["timing"]["constraints"])

    changed = subject("DDR4@2.0").changed(tmp_path, apply)
    report = check.check_device(str(changed.path), "DDR4_8Gb_x8", "DDR4_2400R")
    assert line in failing(report), report


def replace(rows: list, level: str, preceding: str, following: str, latency: str) -> list:
    found = [row for row in rows if row[0] == level and preceding in row[1] and following in row[2] and len(row) == 4]
    assert len(found) == 1
    return [[*row[:3], latency] if row is found[0] else row for row in rows]


def run(*arguments):
    return CliRunner().invoke(app, ["check", "device", *arguments])


def test_the_command_line():
    done = run("DDR4@2.0", "--org", "DDR4_8Gb_x8", "--timing", "DDR4_2400R")
    assert done.exit_code == 0 and "1 of 1 pairs of presets pass" in done.output, done.output
    # nBL 4 at 833 ps: 64 B / 3.332 ns; 1 + nRCD 16 + nCL 16 + nBL 4 cycles; nRC 55 cycles
    assert re.search(r"pass  stream bandwidth without refresh +19.2\d* GB/s +expected 19.2077", done.output)
    assert re.search(r"pass  unloaded latency, closed row +30.821 ns", done.output)
    assert re.search(r"pass  row cycle of one bank +45.815 ns", done.output)
    done = run("HBM3@2.0", "--org", "HBM3_4Gb")
    assert done.exit_code == 1 and "FAIL  refreshes of each node" in done.output and "known faults" in done.output
    for arguments, message in [
        (["DDR44"], "is unknown"),
        (["DDR4@2.0", "--org", "DDR4_8Gb_8"], "did you mean 'DDR4_8Gb_x8'"),
        (["DDR4@2.0", "--timing", "DDR4_240R"], "did you mean 'DDR4_2400R'"),
        (["none.yaml"], "none.yaml: no such file"),
    ]:
        done = run(*arguments)
        assert done.exit_code == 2 and message in done.output and len(done.output.splitlines()) == 1, done.output
