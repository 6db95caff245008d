"""What docs/add-a-pim.md says is done here, word for word, and its mistakes are named."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from moeram.cli.main import app
from moeram.errors import ConfigError, EngineError, MoeramError, TraceError
from moeram.hardware.cycle import load_core
from moeram.pim import check_kernel, load_design, lower_kernel
from moeram.pim.engine import peak_cycles, time_program


@pytest.fixture
def page(repository, tmp_path):
    """The files of the page in a folder."""
    text = (repository / "docs" / "add-a-pim.md").read_text()
    for name, body in re.findall(r"```(?:yaml|text)\n# (\S+)\n(.*?)```", text, re.DOTALL):
        (tmp_path / name).write_text(body)
    return tmp_path


def run(folder):
    return load_core().run_queued(str(folder / "config.yaml"), folder=str(folder))


def test_the_page_holds_what_it_promises(page):
    standard = (page / "my_pim.yaml").read_text()
    assert len(standard.splitlines()) < 50
    result = run(page)
    counts = {"LOAD": 32, "MACALL": 256, "ACTALL": 4, "PREA": 3, "DRAIN": 1}
    assert result["command_counts_by_channel"] == {0: counts, 1: counts}
    # By hand: the first LOAD goes in cycle 1; the activation one cycle after the last LOAD.
    last_load = 1 + 31 * 8
    row = 26 + 63 * 6 + 4 + 26
    last_mac = last_load + 1 + 3 * row + 26 + 63 * 6
    drained = last_mac + 6 + 1  # nCCDL, then a cycle to completion
    assert result["memory_system_cycles"] == drained + 2  # the end enters, and completes a cycle later


def test_the_kernel_of_the_page_runs_on_the_engine_and_on_values(page, monkeypatch):
    monkeypatch.chdir(page)
    design = load_design("my_kernels.yaml", sizes={"channel": 2})
    kernel = lower_kernel(design, "gemv", {"outputs": 100, "inputs": 300})
    # 32 units: four turns; 19 accesses.
    assert kernel.lines == ["MY LOAD 19 0x3", *(line for row in range(4) for line in (f"MY MAC 19 0x3 {row}", "MY DRAIN 0x3"))]
    times = time_program(design, kernel.text())
    assert times.total_commands == {"LOAD": 38, "ACTALL": 8, "MACALL": 152, "PREA": 6, "DRAIN": 8}
    assert peak_cycles(kernel, times) == 100 * 300 / (2 * 16 * 16) * 6
    assert all(check.passed for check in check_kernel(kernel, number="bf16"))


def test_mistakes_in_kernels_are_named(page, repository, monkeypatch):
    monkeypatch.chdir(page)
    result = CliRunner().invoke(app, ["pim", "kernels", "my_pim.yaml"])
    assert (result.exit_code, result.output.strip()) == (2, "error: my_pim.yaml: declares no programs")
    command = next(line for line in (repository / "docs" / "add-a-pim.md").read_text().splitlines() if line.startswith("moeram pim run")).split()[1:]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0 and "within rounding of bf16" in result.output
    path = page / "my_kernels.yaml"
    text = path.read_text()
    for old, new, message in (
        ("does: load", "does: loaf", r"my_kernels.yaml:\d+: unit.operations.MY LOAD.does: given 'loaf'; did you mean 'load'"),
        ("does: load, buffer: vector", "does: load, buffer: victor", r"buffer 'victor' is unknown; did you mean 'vector'"),
        ("does: load, buffer: vector", "does: load", r"unit.operations.MY LOAD: load needs a buffer"),
        ("    MY LOAD: {does", "    MY LOD: {does", r"no instruction has that name; did you mean 'MY LOAD'"),
        ("run: MY LOAD", "run: MY LOED", r"programs.gemv.steps: no instruction 'MY LOED'; did you mean 'MY LOAD'"),
        ("mask: all}, takes", "mesk: all}, takes", r"MY LOAD has no field 'mesk'; did you mean 'mask'"),
        ("{opsize: entries, mask: all}", "{opsize: entries}", r"MY LOAD lacks mask"),
        ("takes: {vectors", "takes: {vector", r"MY LOAD: 'vector' is unknown; did you mean 'vectors'"),
        ("takes: {vectors: [token, ", "takes: {vectors: [", r"MY LOAD: vectors has 2 indices"),
        ("times: turns", "times: turn", r"my_kernels.yaml:\d+: programs.gemv.steps\[0\].steps\[1\].times: 'turn': 'turn' is no name here; did you mean 'turns'"),
        ("entries: ceil_div(inputs, lanes)", "entries: inputs / lanes", r"whole numbers, names, \+ - \* // % and comparisons"),
        ("entries: ceil_div(inputs, lanes)", "entries: inputs // (lanes - 16)", r"my_kernels.yaml:\d+: programs.gemv.let.entries: .*divides by zero"),
        ("entries: ceil_div(inputs, lanes)", "entries: inputs", r"my_kernels.yaml:\d+: programs.gemv.steps\[0\].steps\[0\]: line 1: opsize 300 overflows a buffer of 32 accesses in 'MY LOAD 300 0x3'$"),
        ("{opsize: entries, mask: all, row", "{opsize: 129, mask: all, row", r"programs.gemv.steps\[0\].steps\[1\].steps\[0\]: line 2: 129 columns from 0 on leave the row, which has 128"),
        ("entries: ceil_div(inputs, lanes)", "entries: __import__('os')", r"expected"),
        ("channel: o //", "chanel: o //", r"placed.matrix.at: level 'chanel' is unknown; did you mean 'channel'"),
        ("index: [o, i]", "index: [o]", r"shape, index and padded are of one length"),
        ("loop: turn", "lop: turn", r"my_kernels.yaml:\d+: programs.gemv.steps.*lop: unknown key"),
        ("row: first_row + turn", "row: first_row - 1", r"steps\[0\].fields.row: 'first_row - 1' is -1; no field is negative"),
        ("row: first_row + turn", "row: 16384", r"row 16384 lies outside the 16384 of a bank"),
        ("bank: o % bank", "bank: o % bnk", r"my_kernels.yaml:\d+: programs.gemv.placed.matrix.at.bank: .*'bnk' is no name here"),
        ("takes: {vectors: [token, entry", "takes: {vectors: [token, entri", r"programs.gemv.steps\[0\].steps\[0\].takes.vectors\[1\]: .*'entri' is no name here"),
        ("bank: o % bank", "bank: o % 3", r"two elements lie at channel 0, bankgroup 0, bank 0"),
        ("bank: o % bank", "bank: o % bank + 1", r"an element lies at bank 4; there are 4"),
        ("mask: all}, takes", "mask: all}, gives: {results: [0, 0]}, takes", r"my_kernels.yaml gemv:1: gives results, but answers nothing"),
        ("times: tokens", "times: tokens - 1", r"nothing gave element 0 of results"),
    ):
        assert text.count(old) >= 1, old
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(MoeramError, match=message):
            check_kernel(lower_kernel(load_design("my_kernels.yaml", sizes={"channel": 2}), "gemv", {"outputs": 100, "inputs": 300}))


def test_mistakes_in_a_standard_are_named(page):
    path = page / "my_pim.yaml"
    text = path.read_text()
    for old, new, message in (
        (
            "closes_with: PREA",
            "closes_with: PREALL",
            r"my_pim.yaml:\d+: commands.MACALL.closes_with: command 'PREALL' is unknown",
        ),
        (
            "spans: [bankgroup, bank], opens_with: ACTALL, closes_with: PREA",
            "spans: [bankgroup, bank]",
            "opens_with and closes_with",
        ),
        ("row_open_in_span", "row_open_in_spam", r"did you mean 'row_open_in_span'"),
        (
            "refused_while: [read, write, opened]",
            "refused_while: [reed]",
            r"queue 'reed' is unknown; did you mean 'read'",
        ),
        ("latency: {RD: nCL + nBL", "latency: {RD: nCL + nB", r"'nB' is no timing parameter"),
        (', DRAIN: "1"}', "}", r"my_pim.yaml:\d+: controller.latency: DRAIN is missing"),
        ('DRAIN: "1"', 'DRAIN: "-1"', r"my_pim.yaml:\d+: controller.latency.DRAIN: '-1' must come to 0 to 1000000 cycles"),
        ('DRAIN: "1"', 'DRAIN: "1", END: "1"', r"controller.latency.END: END completes no request of a queue"),
        ("load, drain, end]}\n    write", "load, end]}\n    write", r"controller.latency.DRAIN: DRAIN completes no request of a queue"),
        ("request: drain", "request: all-bank-refresh", r"my_pim.yaml:\d+: instructions.operations.MY DRAIN.request: request 'all-bank-refresh' enters no queue"),
        ("lanes: 256", "lanes: 0", r"my_pim.yaml:\d+: unit.lanes: 0 lies outside 1 to"),
        ("vector: 1024", "vector: -5", r"my_pim.yaml:\d+: unit.buffers.vector: -5 lies outside 1 to"),
        ("lanes: 256", "lane: 256", r"my_pim.yaml:\d+: unit.lane: key 'lane' is unknown in a unit; did you mean 'lanes'"),
        ("fills: vector", "fills: matrix", r"buffer 'matrix' is unknown"),
        ("extends: GDDR6@2.0", "extends: GDDR7@2.0", r"'GDDR7@2.0' is unknown"),
        ("markers: [end]", "markers: [end]\n  fence: [end]", r"key 'fence' is unknown in a controller"),
        ("spans: [bankgroup, bank]}\n  ACTALL", "spans: [channel]}\n  ACTALL", r"levels below the channel"),
    ):
        assert text.count(old) >= 1, old
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(ConfigError, match=message):
            run(page)


def test_mistakes_in_a_program_are_named(page):
    path = page / "program.txt"
    text = path.read_text()
    for old, new, message in (
        ("MY LOAD 32 3", "MY LOAD 33 3", r"program.txt:1: opsize 33 overflows a buffer of 32 accesses"),
        ("MY LOAD 32 3", "MY LOAD 0 3", r":1: opsize 0 lies outside 1 to 16777216"),
        ("MY MAC 64 3 0", "MY MAC 129 3 0", r":2: 129 columns from 0 on leave the row, which has 128"),
        ("MY MAC 64 3 0", "MY MAC 64 3 18446744073709551616", r":2: '18446744073709551616' is too large a number"),
        ("MY MAC 64 3 0", "MY MAC 64 7 0", r":2: mask 7 has bits beyond the 2 channels"),
        ("MY MAC 64 3 0", "MY MAC 64 0 0", r":2: mask 0 names no channel"),
        ("MY MAC 64 3 0", "MY MAC 64 3", r":2: MY MAC has 3 fields, found 2"),
        ("MY MAC 64 3 0", "MY MUC 64 3 0", r":2: unknown operation; did you mean 'MY MAC'"),
        ("MY MAC 64 3 3", "MY MAC 64 3 16384", r":5: row 16384 lies outside 0 to 16383"),
        ("MY MAC 64 3 3", "MY MAC 64 3 x", r":5: 'x' is no number"),
        ("MY END\n", "", r"does not end with 'MY END'"),
    ):
        assert old in text
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(TraceError, match=message):
            run(page)


def test_jumping_over_idle_cycles_changes_nothing(page):
    every_cycle = load_core().run_queued(str(page / "config.yaml"), folder=str(page), skip=False)
    assert run(page) == every_cycle


def test_waiting_for_what_never_comes_is_an_error(page):
    path = page / "my_pim.yaml"
    path.write_text(path.read_text().replace("replies: [read, drain]", "replies: [read]"))
    with pytest.raises(
        EngineError,
        match=r"program.txt:6: MY DRAIN waits for ever in channel 0: 1 of 1 replies never come.*'drain' must be among",
    ):
        run(page)


def test_energy_of_every_command_is_printed_when_asked(page):
    assert "energy" not in run(page)["text"]
    path = page / "config.yaml"
    path.write_text(
        path.read_text().replace("    impl: my_pim.yaml\n", "    impl: my_pim.yaml\n    drampower_enable: true\n")
    )
    result = run(page)
    printed = {
        name.strip(): float(value)
        for name, _, value in (line.partition(":") for line in result["text"].splitlines())
        if name.endswith("_per_channel_ch0")
    }
    # Prices of the page on GDDR6@2.0, whose transactions have 512 bits and rows 65,536; 16 banks.
    by_hand = {
        "MACALL": 256 * 0.55 * 512 * 16,
        "ACTALL": 4 * 0.11 * 65536 * 16,
        "LOAD": 32 * 7.5 * 512,
        "DRAIN": 7.5 * 512,
        "PREA": 0,
    }
    for name, pj in by_hand.items():
        assert printed[f"energy_of_{name}_nj_per_channel_ch0"] == pytest.approx(pj / 1000, rel=1e-5)
    assert printed["command_energy_nj_per_channel_ch0"] == pytest.approx(sum(by_hand.values()) / 1000, rel=1e-5)
    total = printed["total_energy_nj_per_channel_ch0"]
    assert total == pytest.approx(
        printed["command_energy_nj_per_channel_ch0"] + printed["background_energy_nj_per_channel_ch0"], rel=1e-5
    )
    assert sum(name.startswith("energy_of_") for name in printed) == len(by_hand)
