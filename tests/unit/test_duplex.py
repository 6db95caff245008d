"""HBM3@duplex and its two comparison points: bandwidth, times by hand, both sides at once (docs/papers/sieve.md 11.1)."""

from __future__ import annotations

import pytest
from pim_kernels import random_operands

from moeram.errors import ConfigError, TraceError
from moeram.hardware.program_runs import ProgramMemory, play_program
from moeram.model import load_model
from moeram.pim import check_kernel, load_design, lower_kernel, run_kernel
from moeram.pim.duplex import STANDARDS, Units
from moeram.pim.engine import time_program

LEVELS = tuple(STANDARDS)
# nCCDL 4, nRCD 19, nRP 19, nRTP 8, nFAW 39; a row has 32 columns
ROW = 32 * 4
ALONE = {"logic": ROW, "bankgroup": ROW, "bank": 3 * 39 + 19 + 31 * 4 + 8 + 19}  # cycles of a row, one after the other
REFRESH, INTERVAL = 456, 5070


@pytest.mark.parametrize(("level", "gain", "intensity"), [("logic", 4, 8), ("bankgroup", 4, 8), ("bank", 16, 1)])
def test_peaks_are_the_published_ones(level, gain, intensity):
    units = Units(level=level)
    assert units.bytes_per_ps / units.external_bytes_per_ps == gain
    assert units.operations_per_ps / units.bytes_per_ps == intensity
    if level == "logic":
        assert units.operations_per_ps / units.stacks == pytest.approx(21.3, abs=0.05)  # TFLOPS a stack
        assert units.external_bytes_per_ps == pytest.approx(3.35, rel=0.01)  # an H100's


def rows_of(level, rows, refresh, **timing):
    """Cycles of so many rows of multiplications, without bringing vectors and reading results, behind the first two rows."""
    kernels = [
        lower_kernel(Units(level=level).design, "gemv", {"outputs": Units(level=level).banks * count, "inputs": 512})
        for count in (2, 2 + rows)
    ]
    design = kernels[0].design
    memory = ProgramMemory(
        standard=design.standard,
        organization={"preset": design.organization},
        timing={"preset": design.timing, **timing},
        refresh=refresh,
    )
    first, all_rows = (
        play_program(memory, "\n".join(line for line in kernel.text().splitlines() if "WRVEC" not in line and "RDRES" not in line) + "\n")
        for kernel in kernels
    )
    assert all_rows["command_counts_by_channel"][0]["MACU"] == 32 * (2 + rows)
    return all_rows["memory_system_cycles"] - first["memory_system_cycles"]


@pytest.mark.parametrize("level", LEVELS)
def test_rows_take_their_time_by_hand(level):
    assert rows_of(level, 100, refresh=False) == 100 * ALONE[level]


def test_units_at_banks_are_held_back_by_activations():
    assert rows_of("bank", 100, refresh=False, nFAW=0) == 100 * (19 + 31 * 4 + 8 + 19)


@pytest.mark.parametrize(("level", "groups"), [("logic", 2), ("bankgroup", 1)])
def test_peak_bandwidth_is_reached_but_for_refresh(level, groups):
    rows = 2000
    cycles = rows_of(level, rows, refresh=True)
    assert rows * ROW / cycles < 1 - REFRESH / INTERVAL
    # A refresh closes the rows (nRTP, nRP); then the row at hand opens again, and the one opened ahead behind groups of four banks.
    lost = (cycles - rows * ROW) / (cycles / INTERVAL)
    opened = (groups - 1) * 39 + 19
    assert REFRESH + 8 + 19 + opened - 10 <= lost <= REFRESH + 8 + 19 + opened + groups * 39 + 10


@pytest.mark.parametrize("name", ["mixtral-8x7b", "qwen3-30b-a3b", "gpt-oss-120b"])
def test_experts_lie_above_their_roofline(name):
    model = load_model(name)
    logic, bank = Units(level="logic"), Units(level="bank")
    for tokens in (1, 8, 16):
        assert 1 < logic.expert_ps(model, tokens) / logic.roofline_ps(model, tokens) < 1.6
        assert 2.4 < bank.expert_ps(model, tokens) / bank.roofline_ps(model, tokens) < 3.6
    # A weight that is read serves eight vectors; the ninth reads it anew. At banks every vector does.
    assert logic.expert_ps(model, 8) < 1.25 * logic.expert_ps(model, 1)
    assert logic.expert_ps(model, 16) == pytest.approx(2 * logic.expert_ps(model, 8), rel=0.06)
    assert bank.expert_ps(model, 8) == pytest.approx(8 * bank.expert_ps(model, 1), rel=0.12)
    # Above one operation a byte the logic die is the faster place, below it the banks are.
    assert bank.expert_ps(model, 1) < logic.expert_ps(model, 1)
    assert logic.expert_ps(model, 8) < bank.expert_ps(model, 8)


def test_one_matrix_by_hand():
    """14336 outputs of 4096 inputs on 1280 banks: opening, columns one behind the other, results."""
    units = Units(level="logic")
    time_ps = units.matrix_ps(14336, 4096, 1, refresh=False)
    tiles, part, parts = units._cut(14336, 4096)
    rows = -(-tiles * -(-part // 16) // 32)
    assert (tiles * -(-part // 16), parts) == (
        min(-(-14336 * p // 1280) * -(-4096 // (16 * p)) for p in range(1, 9)),
        parts,
    )
    opened = (
        1 + 2 * 39 + 1
    )  # the next eight banks of the rank open behind two groups of four, and the program waits for that
    results = -(-tiles * 8 // 8)
    columns = tiles * -(-part // 16)
    by_hand = opened + (columns - 1) * 4 + 8 + 1 + (results - 1) * 2 + 19 + 2
    assert time_ps / 769 == pytest.approx(by_hand, abs=4)
    assert rows > 1


def both(reads, rows):
    """Multiplications of 128 cycles a row in the two bundles of rank 0; beside each row 60 reads of one bundle of rank 1, if any.

    64 would fill the data bus: what the shared command bus takes from them would add up, and one front end feeds both sides.
    """
    places = [(2 * group, column) for column in range(15) for group in range(4)]
    lines = ["PIM OPEN 1 0 0"]
    for row in range(rows):
        bank = row % 2 * 8
        for column in range(32):
            lines.append(f"PIM MAC 1 1 {bank} {row // 2} {column} 8")
            if column == 1 and row:
                lines.append(f"PIM CLOSE 1 {8 - bank}")
            if column == 9 and row + 1 < rows:  # nRTP and nRP behind the last column of that bundle
                lines.append(f"PIM OPEN 1 {8 - bank} {(row + 1) // 2}")
            for first, place in places[2 * column : 2 * column + 2] if reads else ():
                lines.append(f"MEM RD 1 1 {16 + bank + first} {row // 2} {place}")
    return "\n".join([*lines, "PIM END", ""])


def test_processor_and_units_use_different_bundles_at_once():
    memory = ProgramMemory(
        standard="HBM3@duplex", organization={"preset": "HBM3_Duplex"}, timing={"preset": "HBM3_5.2Gbps"}, refresh=False
    )
    rows = 200
    alone, together = (play_program(memory, both(reads, rows)) for reads in (False, True))
    only_reads = play_program(
        memory, "\n".join(line for line in both(True, rows).splitlines() if "MEM" in line or "END" in line) + "\n"
    )
    counts = together["command_counts_by_channel"][0]
    assert (counts["MACU"], counts["RD"]) == (32 * rows, 60 * rows)
    # Each alone takes its 128 and 120 cycles a row; together the units lose nothing.
    assert only_reads["memory_system_cycles"] == pytest.approx(120 * rows, rel=0.01)
    assert alone["memory_system_cycles"] == pytest.approx(ROW * rows, rel=0.01)
    assert together["memory_system_cycles"] == pytest.approx(alone["memory_system_cycles"], rel=0.001)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("shape", [{"outputs": 130, "inputs": 700, "tokens": 11}, {"outputs": 37, "inputs": 90}])
def test_values_are_right(level, shape):
    kernel = lower_kernel(load_design(STANDARDS[level], sizes={"channel": 2}), "gemv", shape, first_row=3)
    whole = random_operands(kernel, "fp16", 1, whole=True)
    assert (run_kernel(kernel, whole)["results"] == whole["vectors"] @ whole["matrix"].T).all()
    assert all(check.passed for check in check_kernel(kernel, number="bf16"))
    assert time_program(kernel.design, kernel.text()).cycles > 0


def test_mistakes_are_named():
    design = load_design("HBM3@duplex")
    with pytest.raises(TraceError, match=r"program.txt:1: PIM MAC takes 1 to 8 vectors at once, not 9"):
        time_program(design, "PIM MAC 1 1 0 0 0 9\nPIM END\n")
    with pytest.raises(TraceError, match="takes 1 to 1 vectors at once, not 2"):
        time_program(load_design("HBM3@duplex-bank"), "PIM MAC 1 1 0 0 0 2\nPIM END\n")
    with pytest.raises(TraceError, match=r"2 accesses from entry 32767 on overflow a buffer of 32768 accesses"):
        time_program(design, "PIM WRVEC 2 1 32767\nPIM END\n")
    with pytest.raises(ConfigError, match="level 'banks' is unknown; did you mean 'bank'"):
        Units(level="banks")
