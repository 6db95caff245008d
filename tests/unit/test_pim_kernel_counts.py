"""Lowered kernels against what is published of their designs: numbers of commands, rows and cycles."""

from __future__ import annotations

import json

import pytest

from moeram.pim import load_design, lower_kernel
from moeram.pim.engine import peak_cycles, time_program


def counted(standard, kernel, shape, **options):
    one = lower_kernel(load_design(standard, **options), kernel, shape)
    return one, time_program(one.design, one.text())


def test_gemv_of_attacc_and_aim():
    """attacc_pim.md 9 and aim_gddr6.md 9: GEMV 4096 x 14336."""
    shape = {"outputs": 4096, "inputs": 14336}
    _, times = counted("HBM3@attacc", "gemv", shape)
    counts = times.total_commands
    assert (counts["MACAB"], counts["ACTAB"]) == (57344, 16 * 112)
    assert counts["WRGB"] == 16 * 4 * 224  # 64 inputs an entry, in each of four banks
    # 28,148 cycles are the multiplications alone, refresh included; the vector comes before them, nBL a write and pseudochannel.
    assert 28148 + 4 * 224 * 2 < times.cycles < 28148 + 4 * 224 * 5
    kernel, times = counted("GDDR6@aim", "gemv", shape)
    counts = times.total_commands
    assert (counts["MAC16"], counts["ACT16"]) == (229376, 32 * 112)
    # 32,544 with vectors, biases and results; our vector comes again for each of 14 chunks, as here, in another order.
    assert times.cycles == pytest.approx(32544, rel=0.05)
    assert peak_cycles(kernel, times) == 7168 * 2  # 7168 multiplications a channel, nCCDL apart


@pytest.mark.parametrize(("context", "head_size"), [(256, 128), (300, 64), (1000, 80)])
def test_attention_of_attacc_has_the_commands_of_its_table(context, head_size):
    """attacc_pim.md 9, bank level: score ceil(L/16) ceil(dh/64), context ceil(dh/64) ceil(L/16), of whole blocks of 16 x 16 tokens."""
    heads = 4
    _, times = counted("HBM3@attacc", "attention", {"heads": heads, "context": context, "head_size": head_size})
    score = -(-context // 256) * 16 * -(-head_size // 64)
    value = -(-head_size // 16) * -(-context // 64)
    assert times.total_commands["MACAB"] == heads * (score + value)
    assert times.total_commands["WRGB"] == heads * 4 * -(-head_size // 64)
    assert times.total_commands["SFM"] == heads


def test_programs_beside_those_of_attaccs_generator(shared):
    cases = shared / "goldens" / "pim" / "attacc"
    golden = json.loads((cases / "a20_gemv_512x512" / "result.json").read_text())
    _, times = counted("HBM3@attacc", "gemv", {"outputs": 512, "inputs": 512})
    ours = times.total_commands
    assert {name: ours[name] for name in ("WRGB", "MACAB")} == {name: golden["command_counts_total"][name] for name in ("WRGB", "MACAB")}
    assert times.cycles == pytest.approx(golden["memory_system_cycles"], rel=0.05)
    golden = json.loads((cases / "a13_att_bank_l256" / "result.json").read_text())
    _, times = counted("HBM3@attacc", "attention", {"heads": 32, "context": 256, "head_size": 128})
    # Two heads a channel; theirs overlap, with a dummy multiplication first.
    assert golden["command_counts_total"]["MACAB"] - times.total_commands["MACAB"] == 16
    assert golden["command_counts_total"]["WRGB"] == times.total_commands["WRGB"]
    assert golden["memory_system_cycles"] < times.cycles < 1.2 * golden["memory_system_cycles"]


def test_gemv_of_hbm_pim_has_its_floor():
    """samsung_hbm_pim.md: GEMV 4096 x 4096 over 64 pseudochannels, 2048 reads that multiply, 8192 cycles at least."""
    kernel, times = counted("HBM2@hbm-pim", "gemv", {"outputs": 64, "inputs": 4096})
    assert times.total_commands["RDH"] == 2048
    assert peak_cycles(kernel, times) == 8192


def test_gemv_of_sieve_is_gpt_oss_on_all_units():
    """sieve.md 5.1: 5760 outputs of gate and up on 6144 banks, 180 columns, 6 rows, no K-split; the other pseudochannels do the same."""
    _, times = counted("HBM3@sieve", "gemv", {"outputs": 24, "inputs": 2880})
    assert {name: times.total_commands[name] for name in ("WRVEC", "MACAB", "ACTAB", "RDRES")} == {
        "WRVEC": 180, "MACAB": 180, "ACTAB": 6, "RDRES": 3,
    }  # fmt: skip
