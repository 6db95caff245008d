"""Lowered programs on values: results against numpy, and a wrong address must give a wrong number or a message."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pim_kernels import DESIGNS, design, matrix_product, random_operands

from moeram.errors import CapacityError, ConfigError, TraceError
from moeram.hardware.memories import load_memory
from moeram.hardware.pim_memory import MatrixCut
from moeram.hardware.pim_programs import Program
from moeram.pim import Machine, lower_kernel, run_kernel
from moeram.pim.engine import time_program
from moeram.pim.numbers import FORMATS, number_format
from moeram.pim.rows import RowStore
from moeram.pim.values import collect, place, play

FEW = settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
SHAPES = st.fixed_dictionaries({"outputs": st.integers(1, 90), "inputs": st.integers(1, 150), "tokens": st.integers(1, 2)})
SMALL = {"outputs": 37, "inputs": 90}


def result_of(name, shape, operands, number="fp16", first_row=0):
    return run_kernel(lower_kernel(design(name), "gemv", shape, first_row=first_row), operands, number=number)["results"]


@pytest.mark.parametrize("name", DESIGNS)
@FEW
@given(shape=SHAPES, number=st.sampled_from(sorted(FORMATS)), seed=st.integers(0, 9), first_row=st.integers(0, 40))
def test_matrix_product_lies_within_rounding(name, shape, number, seed, first_row):
    operands = random_operands(shape, number, seed)
    result = result_of(name, shape, operands, number, first_row)
    exact, bound = matrix_product(operands, number, design(name).unit.accumulator_bytes)
    assert (np.abs(result - exact) <= bound).all()


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("shape", [{"outputs": 520, "inputs": 70}, {"outputs": 40, "inputs": 200, "tokens": 3}])
def test_small_whole_numbers_are_exact(name, shape):
    operands = random_operands(shape, "fp16", 1, whole=True)
    assert (result_of(name, shape, operands) == operands["vectors"] @ operands["matrix"].T).all()


def test_vectors_longer_than_a_row_and_parts_are_added_by_the_host():
    shape = {"outputs": 30, "inputs": 2100}
    operands = random_operands(shape, "fp16", 2)
    for name, more in (("aim", {}), ("sieve", {"parts": 2}), ("sieve", {"parts": 4}), ("attacc", {})):
        result = result_of(name, shape | more, operands)
        exact, bound = matrix_product(operands, "fp16", design(name).unit.accumulator_bytes)
        assert (np.abs(result - exact) <= bound).all()


def changed_lines(lines, word, position, by):
    """Every line of an operation with one of its numbers changed."""
    for number, line in enumerate(lines):
        words = line.split()
        if " ".join(words[: len(word.split())]) == word:
            words[position] = str(int(words[position], 0) + by)
            yield [*lines[:number], " ".join(words), *lines[number + 1 :]]


def is_noticed(kernel, operands, lines, shift=None):
    """Whether a changed program, or operands moved in the rows, give another result or a message."""
    machine = Machine(kernel.design, number_format("fp16"))
    if shift is not None:
        machine.rows = shift(kernel.design)
    place(kernel, operands, machine)
    try:
        result = collect(kernel, play(kernel, operands, machine, lines))["results"]
    except (TraceError, CapacityError):
        return True
    return not np.array_equal(result, run_kernel(kernel, operands)["results"])


MUTATIONS = [
    ("aim", "AiM MAC_ABK", 4, 1),  # row
    ("aim", "AiM MAC_ABK", 2, -1),  # columns
    ("aim", "AiM MAC_ABK", 3, -1),  # channels
    ("aim", "AiM WR_GB", 2, -1),
    ("aim", "AiM WR_GB", 3, 1),  # general register
    ("aim", "AiM WR_BIAS", 2, -1),
    ("aim", "AiM RD_MAC", 2, 1),
    ("sieve", "PIM MAC", 5, 1),
    ("sieve", "PIM MAC", 2, 1),
    ("sieve", "PIM MAC", 2, -1),
    ("sieve", "PIM MAC", 3, -1),
    ("sieve", "PIM WRVEC", 2, 1),
    ("sieve", "PIM RDRES", 2, -1),
]


@pytest.mark.parametrize(("name", "operation", "position", "by"), MUTATIONS)
def test_no_number_of_a_program_can_be_off_by_one(name, operation, position, by):
    shape = {"outputs": 60, "inputs": 1100 if name == "aim" else 700}  # more than all but the last channel's units
    kernel, operands = lower_kernel(design(name), "gemv", shape), random_operands(shape, "fp16", 3)
    assert not is_noticed(kernel, operands, kernel.lines)
    changed = list(changed_lines(kernel.lines, operation, position, by))
    assert changed
    assert all(is_noticed(kernel, operands, lines) for lines in changed)


def test_a_bank_of_the_other_row_buffer_is_noticed():
    kernel, operands = lower_kernel(design("sieve"), "gemv", SMALL), random_operands(SMALL, "fp16", 3)
    for number, line in enumerate(kernel.lines):
        if line.startswith("PIM MAC"):
            words = line.split()
            words[4] = str(24 - int(words[4]))
            assert is_noticed(kernel, operands, [*kernel.lines[:number], " ".join(words), *kernel.lines[number + 1 :]])


@pytest.mark.parametrize("operation", ["PIM_MAC_AB", "PIM_WR_GB", "PIM_MV_SB"])
@pytest.mark.parametrize("level", ["channel", "pseudochannel", "rank", "bankgroup", "bank", "row", "column"])
def test_no_digit_of_an_address_can_be_off_by_one(operation, level):
    counts = design("attacc").counts
    stride = 32
    for name, count in reversed(counts.items()):
        if name == level:
            break
        stride *= count
    kernel, operands = lower_kernel(design("attacc"), "gemv", SMALL), random_operands(SMALL, "fp16", 4)
    matters = {
        "PIM_MAC_AB": {"channel", "row", "column"},  # it reaches all banks
        "PIM_WR_GB": {"channel", "bank", "row", "column"},  # it reaches all groups
        "PIM_MV_SB": {"channel", "pseudochannel", "rank", "bankgroup"},  # it adds up the banks; where it goes no one reads
    }[operation]
    for number in [n for n, line in enumerate(kernel.lines) if line.startswith(operation)][::7]:
        address = int(kernel.lines[number].split()[1], 16)
        digit = address // stride % counts[level]
        moved = address + (stride if digit + 1 < counts[level] else -digit * stride)
        lines = [*kernel.lines[:number], f"{operation} {moved:#x}", *kernel.lines[number + 1 :]]
        assert is_noticed(kernel, operands, lines) == (level in matters)


@pytest.mark.parametrize("name", ["attacc", "aim", "sieve"])
def test_operands_one_place_off_are_noticed(name):
    kernel, operands = lower_kernel(design(name), "gemv", SMALL), random_operands(SMALL, "fp16", 5)
    for level in (*design(name).counts, "lane"):
        if design(name).counts.get(level) == 1:
            continue

        class Shifted(RowStore):
            def place(self, values, at, level=level):
                size = self.counts.get(level, self.lanes)
                super().place(values, at | {level: (at[level] + 1) % size})

        assert is_noticed(kernel, operands, kernel.lines, lambda one, kind=Shifted: kind(one.counts, one.lanes_per_access, FORMATS["fp16"]))


@pytest.mark.parametrize("name", ["attacc", "attacc corrected", "aim", "aim corrected", "sieve", "sieve, one row buffer"])
def test_the_engine_multiplies_what_the_values_were_read_from(name, tmp_path):
    """The same lines on the engine: its multiplying commands address the rows and columns that the values came from."""
    shape = {"outputs": 90, "inputs": 1100 if name.startswith("aim") else 700}
    kernel, one = lower_kernel(design(name), "gemv", shape), design(name)
    read = Counter()

    class Counted(RowStore):
        def read(self, channel, bank, row, column):
            read[channel, bank[0] if "sieve" in name else 0, row, 0 if "sieve" in name else column] += 1
            return super().read(channel, bank, row, column)

    machine = Machine(one, number_format("fp16"))
    machine.rows = Counted(one.counts, one.lanes_per_access, machine.number)
    run_kernel(kernel, random_operands(shape, "fp16", 6), machine=machine)
    time_program(one, kernel.text(), command_trace=tmp_path / "cmds")
    issued = Counter()
    banks = {"attacc": 64, "aim": 16, "sieve": 24}[name.split()[0].rstrip(",")]
    for path in tmp_path.glob("cmds.ch*"):
        for line in path.read_text().splitlines():
            _, command, *address = (word.strip() for word in line.split(","))
            if command in ("MACAB", "MAC16"):
                channel, buffer, row, column = int(address[0]), int(address[1]), int(address[-2]), int(address[-1])
                issued[(channel, buffer, row, 0) if "sieve" in name else (channel, 0, row, column)] += banks
    assert issued == read


@pytest.mark.parametrize("dual", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_the_declared_program_of_sieve_is_the_one_that_experts_are_timed_with(dual, rows):
    memory = load_memory("hbm3e_pim").model_copy(update={"dual_row_buffer": dual})
    one = design("sieve" if dual else "sieve, one row buffer")
    entries = 32 * rows - 7
    shape = {"outputs": one.counts["channel"] * 24, "inputs": entries * 16}
    timed = Program(memory)
    timed.matrix(MatrixCut(vector_columns=entries, columns=entries, result_columns=3))
    mask = f"{(1 << one.counts['channel']) - 1:#x}"
    place_of_mask = {"PIM WRVEC": 3, "PIM OPEN": 2, "PIM CLOSE": 2, "PIM MAC": 3, "PIM RDRES": 3}
    expected = []
    for line in timed.lines:
        words = line.split()
        position = place_of_mask[" ".join(words[:2])]
        expected.append(" ".join([*words[:position], mask, *words[position + 1 :]]))
    assert lower_kernel(one, "gemv", shape).lines == expected


def test_rounding_is_to_the_nearest_even():
    rng = np.random.default_rng(0)
    values = rng.standard_normal(4000).astype(np.float32) * np.exp2(rng.integers(-8, 8, 4000)).astype(np.float32)
    for number, bits in (("fp16", 11), ("bf16", 8)):
        # By hand: scale to whole numbers of the last place, round half to even, scale back.
        scale = np.exp2(np.floor(np.log2(np.abs(values.astype(np.float64)))) - bits + 1)
        scale = np.maximum(scale, 2.0**-24 if number == "fp16" else 0)
        assert (FORMATS[number].round(values) == np.rint(values / scale) * scale).all()
    assert FORMATS["bf16"].round([1 + 2**-8, 1 + 3 * 2**-8]).tolist() == [1, 1 + 2**-6]
    with pytest.raises(CapacityError, match="70000 has no place in fp16"):
        FORMATS["fp16"].round([70000])


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("aim", ["AiM WR_GB 65 0 0x1"], r":1: AiM WR_GB: entry 64 overflows buffer GB of 64 accesses"),
        ("aim", ["AiM MAC_ABK 1 0x1 0"], r":1: AiM MAC_ABK: column 0 of row 0 in channel 3, bankgroup 0, bank 0 holds nothing"),
        ("aim", ["AiM RD_MAC 0 0x1"], r":1: .* hold no results"),
        ("aim", ["AiM MAC_SBK 1 0x1 16 0"], r":1: bank 16 is not one"),
        ("aim", ["AiM MAC_SBK 1 0x1 1 16384"], r":1: .*row 16384 lies outside 0 to 16383"),
        ("aim", ["", "# mark", "AiM MAC_AB 1 0x1 0"], r":3: unknown operation .* did you mean 'AiM MAC_ABK'"),
        ("aim", ["AiM SYNC", "AiM WR_BIAS 3 0x100000000"], r":2: mask 0x100000000"),
        ("attacc", ["PIM_MAC_AB 0x10"], r":1: address 0x10 is not aligned to an access of 32 bytes"),
        ("attacc", ["PIM_MAC_AB 0x8000000000"], r":1: address .* beyond the 2 channels"),
        ("attacc", ["PIM_WR_GB 0x0"], r":1: PIM_WR_GB: the host sends nothing"),
        ("attacc", ["PIM_SFM 0x0"], r":1: PIM_SFM: channel 0 was not told"),
        ("sieve", ["MEM RD 0 0 0"], r":1: MEM RD: .* does not say what it does"),
    ],
)
def test_mistakes_are_named_with_their_line(name, lines, message):
    kernel = lower_kernel(design(name), "gemv", SMALL)
    machine = Machine(design(name), number_format("fp16"))
    machine.general = dict.fromkeys(range(100), np.zeros(16, np.float32))
    kernel.takes.clear()
    with pytest.raises(TraceError, match=message):
        play(kernel, {}, machine, lines)


def test_mistakes_of_a_caller_are_named():
    one = design("attacc")
    for shape, message in (
        ({"outputs": 4}, "inputs is missing"),
        ({"outputs": 0, "inputs": 4}, "outputs is 0; at least 1"),
        (SMALL | {"token": 2}, "'token' is unknown; did you mean 'tokens'"),
    ):
        with pytest.raises(ConfigError, match=message):
            lower_kernel(one, "gemv", shape)
    with pytest.raises(ConfigError, match="declares no program 'gemm'; did you mean 'gemv'"):
        lower_kernel(one, "gemm", SMALL)
    with pytest.raises(CapacityError, match="row 16384 lies outside"):
        lower_kernel(design("aim"), "gemv", SMALL, first_row=16384)
    kernel, operands = lower_kernel(one, "gemv", SMALL), random_operands(SMALL, "fp16", 0)
    with pytest.raises(ConfigError, match="operand 'vector' is unknown; did you mean 'vectors'"):
        run_kernel(kernel, operands | {"vector": [1]})
    with pytest.raises(ConfigError, match=r"matrix has shape \(2, 2\), \(37, 90\) is expected"):
        run_kernel(kernel, operands | {"matrix": np.ones((2, 2))})
    with pytest.raises(ConfigError, match="number format 'fp15' is unknown; did you mean 'fp16'"):
        run_kernel(kernel, operands, number="fp15")
