"""HBM3@sieve and its programs, against peaks and times by hand (sieve.md 2, 5.1 and 10, R2 and R3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from moeram.errors import ConfigError
from moeram.hardware.memories import load_memory
from moeram.hardware.pim_memory import MatrixCut
from moeram.hardware.pim_programs import Program, expert_program, run_program, token_ps_by_engine
from moeram.model import load_model

REFRESH, INTERVAL = 800, 7800  # cycles
OPEN = 5 * 12 + 28  # the sixth group of four banks opens five nFAW after the first


def memory(**changes):
    return load_memory("hbm3e_pim").model_copy(update=changes)


def of_bf16(name):
    model, plain = load_model(name), load_model("qwen3-30b-a3b").precision
    return replace(model, precision=replace(model.precision, experts=plain.experts, shared=plain.shared))


def tb_per_s(transfers, banks, result):
    """Of 256 pseudochannels: transfers of 32 bytes from so many banks in cycles of 500 ps."""
    return transfers * banks * 32 * 256 / (result["memory_system_cycles"] * 500)


def test_external_stream_runs_at_peak_but_for_refresh():
    lines = [
        f"MEM RD 0 {(2 * pair + group) * 4 + bank} {row}"
        for row in range(20) for bank in range(4) for pair in range(3) for _ in range(32) for group in range(2)
    ]  # fmt: skip
    result = run_program(memory(), "\n".join([*lines, "PIM END", ""]))
    counts = result["command_counts_by_channel"][0]
    assert counts["RD"] == len(lines)
    assert counts["REFab"] == result["memory_system_cycles"] // INTERVAL
    assert tb_per_s(len(lines), 1, result) == pytest.approx(7.3, abs=0.1)
    assert tb_per_s(len(lines), 1, result) < 8.192 * (1 - REFRESH / INTERVAL)


def multiply(rows, refresh, **changes):
    program = Program(memory(**changes))
    program.open(0)
    program.multiply(32 * rows)
    program.lines.append("PIM RDRES 3 1")
    result = run_program(program.memory, program.end(), refresh)
    assert result["command_counts_by_channel"][0]["MACAB"] == 32 * rows
    return result


def test_all_bank_multiplications_run_at_peak_but_for_refresh():
    rows, peak = 2000, 98.304
    plain, refreshed = multiply(rows, refresh=False), multiply(rows, refresh=True)
    assert tb_per_s(32 * rows, 24, plain) == pytest.approx(peak, rel=0.001)
    assert tb_per_s(32 * rows, 24, refreshed) < peak * (1 - REFRESH / INTERVAL)
    assert tb_per_s(32 * rows, 24, refreshed) == pytest.approx(88, rel=0.03)
    # A refresh closes the rows: nRTP, nRP, and the row at hand and the one opened ahead are opened again.
    refreshes = refreshed["command_counts_by_channel"][0]["REFab"]
    lost = (refreshed["memory_system_cycles"] - plain["memory_system_cycles"]) / refreshes
    assert 12 + 28 + REFRESH + OPEN <= lost <= 12 + 28 + REFRESH + 2 * OPEN + 28


def test_one_row_buffer_waits_for_every_row():
    row = OPEN + 31 * 4 + 12 + 28
    result = multiply(200, refresh=False, dual_row_buffer=False)
    assert tb_per_s(32 * 200, 24, result) == pytest.approx(98.304 * 128 / row, rel=0.003)


def test_one_matrix_by_hand():
    program = Program(memory())
    assert program.matrix(MatrixCut(vector_columns=86, columns=86, result_columns=3)) == 3
    result = run_program(memory(), program.end(), refresh=False)
    counts = {"ACTAB": 3, "PREAB": 3, "WRVEC": 86, "MACAB": 86, "RDRES": 3}
    assert {name: result["command_counts_by_channel"][0][name] for name in counts} == counts
    last_write = 2 + 85 * 2  # the rows open in cycle 1, behind the vector
    last_mac = last_write + 8 + 2 + 85 * 4  # nCWL + nBL; the second and third row open behind the multiplications
    replied = last_mac + 12 + 1 + 2 * 2 + 28 + 2  # nRTP until the row closes, then the results
    assert replied <= result["memory_system_cycles"] <= replied + 4  # then the end


@pytest.mark.parametrize("name", ["qwen3.5-397b-a17b", "gpt-oss-120b", "qwen3-30b-a3b"])
def test_one_token_lies_in_the_published_band(name):
    model = of_bf16(name)
    for dual in (True, False):
        engine = token_ps_by_engine(memory(dual_row_buffer=dual), model)
        assert 1.8 < engine / memory().roofline_ps(model) < 4.2
    # The closed form adds up what the engine overlaps (opening with writing), and opens all banks at once.
    assert token_ps_by_engine(memory(), model) == pytest.approx(memory().token_ps(model), rel=0.06)
    assert token_ps_by_engine(memory(layout="output_split"), model) > token_ps_by_engine(memory(), model)


def test_a_program_holds_every_multiplication():
    model, pim = of_bf16("gpt-oss-120b"), memory()
    result = run_program(pim, expert_program(pim, model, 2))
    counts = result["command_counts_by_channel"][0]
    assert counts["MACAB"] == 2 * sum(cut.columns for cut in pim.phases(model))
    assert counts["MACAB"] * 32 * pim.units >= 2 * model.expert_bytes


def test_banks_come_in_groups_of_four():
    with pytest.raises(ConfigError, match="groups of 4"):
        run_program(memory(banks_per_pseudochannel=22), "PIM END\n")
