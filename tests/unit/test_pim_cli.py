"""`moeram pim` as a user types it."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from moeram.cli.main import app
from moeram.hardware.program_runs import ProgramMemory, play_program


def moeram(*words):
    return CliRunner().invoke(app, ["pim", *words])


def test_kernels_of_a_memory():
    result = moeram("kernels", "HBM3@attacc")
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.output.splitlines()}
    assert set(lines) == {"gemv", "gemv_bank_group", "gemv_buffer", "attention"}
    assert "outputs inputs [tokens=1]" in lines["gemv"] and "matrix product" in lines["gemv"]


def test_a_run_shows_time_commands_energy_and_values():
    result = moeram("run", "HBM3@sieve", "gemv", "-p", "outputs=24", "-p", "inputs=1376", "--no-refresh", "--values", "bf16")
    assert result.exit_code == 0, result.output
    # By hand (as of one matrix of three rows): the vector, its last column, 86 columns nCCDL 4 apart, three columns of results.
    last_mac = 2 + 85 * 2 + 8 + 2 + 85 * 4
    cycles = int(result.output.split(" cycles of 500 ps")[0].split()[-1])
    replied = last_mac + 12 + 1 + 2 * 2 + 28 + 2
    assert replied <= cycles <= replied + 4
    assert f"344 cycles at their peak, {344 / cycles:.1%} of the time" in result.output
    rows = {words[1]: words for words in (line.split() for line in result.output.splitlines()) if len(words) > 3}
    assert rows["MACAB"][3] == "86" and rows["WRVEC"][3] == "86" and rows["ACTAB"][3] == "3"
    # 0.44 pJ a bit, four times, 256 bits of 24 banks.
    assert rows["MACAB"][5] == f"{86 * 4 * 0.44 * 256 * 24 / 1000:.1f}"
    assert "results: within rounding of bf16" in result.output


def test_a_lowered_program_is_a_trace(tmp_path):
    path = tmp_path / "trace.txt"
    words = ("GDDR6@aim", "gemv", "-p", "outputs=600", "-p", "inputs=5000")
    assert moeram("lower", *words, "-o", str(path)).exit_code == 0
    memory = ProgramMemory(standard="GDDR6@aim", organization={"preset": "GDDR6_AiM_org"}, timing={"preset": "GDDR6_AiM_timing"})
    cycles = play_program(memory, path.read_text())["memory_system_cycles"]
    assert f"{cycles} cycles" in moeram("run", *words).output
    assert f"{cycles} cycles" not in moeram("run", *words, "--no-faults").output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "GDDR6@aim", "gemv", "-p", "outputs=4"], "inputs is missing"),
        (["run", "GDDR6@aim", "gemv", "-p", "outputs"], "-p outputs: NAME=NUMBER is expected"),
        (["run", "GDDR6@aim", "gemm"], "declares no program 'gemm'; did you mean 'gemv'"),
        (["run", "GDDR6@aim", "gemv", "-p", "outputs=4", "-p", "inputs=4", "--org", "GDDR6_AiM"], "did you mean 'GDDR6_AiM_org'"),
        (["run", "HBM3@attacc", "gemv", "-p", "outputs=4", "-p", "inputs=4", "-p", "org.chanel=2"], "chanel"),
        (["kernels", "HBM3@attack"], "no config named 'HBM3@attack'; did you mean 'HBM3@attacc'"),
        (["kernels", "DDR4@2.0"], "has no section 'instructions'"),
        (["lower", "HBM3@sieve", "gemv", "-p", "outputs=4", "-p", "inputs=4", "-o", "no/such/folder"], "cannot be written"),
        (
            ["run", "HBM3@sieve", "gemv", "-p", "outputs=64", "-p", "inputs=64", "-p", "parts=7", "-p", "org.channel=4"],
            "programs.gemv.needs: parts <= channel is needed; channel is 4, parts is 7",
        ),
    ],
)
def test_mistakes_are_one_message(words, message):
    result = moeram(*words)
    assert result.exit_code == 2
    assert message in result.output.replace("\n", "")
    assert "Traceback" not in result.output


def test_a_program_that_overflows_a_buffer_is_not_written(tmp_path):
    """AiM's buffer holds 64 accesses of 16 values; without its fault or with it, nobody means to overflow it."""
    path = tmp_path / "trace.txt"
    words = ("lower", "GDDR6@aim", "gemv_activated", "-p", "outputs=16", "-o", str(path))
    result = moeram(*words, "-p", "inputs=1025")
    assert result.exit_code == 2
    said = " ".join(result.output.split())
    assert re.search(r"GDDR6@aim.yaml:\d+: programs.gemv_activated.steps\[1\].steps\[0\]: line 2: opsize 65 overflows a buffer of 64 accesses", said), said
    assert not list(tmp_path.iterdir())
    assert moeram(*words, "-p", "inputs=1024").exit_code == 0


def test_formats_are_checked_before_the_run(monkeypatch):
    monkeypatch.setattr("moeram.cli.pim.time_program", lambda *_, **__: pytest.fail("the run began"))
    result = moeram("run", "HBM3@sieve", "gemv", "-p", "outputs=24", "-p", "inputs=24", "--values", "fp64")
    assert result.exit_code == 2 and "number format 'fp64' is unknown" in result.output


def test_warnings_of_the_engine_are_printed():
    words = ("run", "GDDR6@aim", "gemv", "-p", "outputs=16", "-p", "inputs=16")
    warning = "warning: GDDR6@aim:"
    assert warning in moeram(*words).output and "never refreshes" in moeram(*words).output
    assert warning not in moeram(*words, "--no-faults").output
