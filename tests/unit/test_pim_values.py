"""Lowered programs on values: results against numpy, and the engine's commands against the values that were read."""

from __future__ import annotations

import gzip
import json
from collections import Counter, deque
from dataclasses import replace

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pim_kernels import DESIGNS, KERNELS, SMALL, assert_within_bounds, design, lowered, random_operands

from moeram.errors import CapacityError, ConfigError, TraceError
from moeram.hardware.memories import load_memory
from moeram.hardware.pim_memory import MatrixCut
from moeram.hardware.pim_programs import Program
from moeram.pim import Machine, load_design, lower_kernel, run_kernel
from moeram.pim.engine import time_program
from moeram.pim.instructions import read_instructions
from moeram.pim.meanings import Sent, execute
from moeram.pim.numbers import FORMATS, number_format
from moeram.pim.rows import RowStore
from moeram.pim.values import play

FEW = settings(max_examples=3, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
SIZES = st.fixed_dictionaries(
    {
        "outputs": st.integers(1, 90), "inputs": st.integers(1, 150), "tokens": st.integers(1, 2), "parts": st.integers(1, 2),
        "length": st.integers(1, 3000), "heads": st.integers(1, 6), "context": st.integers(1, 90), "head_size": st.integers(1, 70),
        "function": st.integers(1, 5),
    }
)  # fmt: skip


@pytest.mark.parametrize(("name", "kernel"), KERNELS)
@FEW
@given(sizes=SIZES, number=st.sampled_from(sorted(FORMATS)), seed=st.integers(0, 9), first_row=st.integers(0, 40))
def test_every_kernel_lies_within_rounding(name, kernel, sizes, number, seed, first_row):
    one = lowered(name, kernel, sizes, first_row)
    assert_within_bounds(one, random_operands(one, number, seed), number)


@pytest.mark.parametrize(("name", "kernel"), [pair for pair in KERNELS if pair[1].startswith("gemv") and "activated" not in pair[1]])
@pytest.mark.parametrize("sizes", [{"outputs": 520, "inputs": 70}, {"outputs": 40, "inputs": 200, "tokens": 3}])
def test_small_whole_numbers_are_exact(name, kernel, sizes):
    one = lowered(name, kernel, sizes)
    operands = random_operands(one, "fp16", 1, whole=True)
    assert (run_kernel(one, operands)["results"] == operands["vectors"] @ operands["matrix"].T).all()


@pytest.mark.parametrize(("name", "parts"), [("aim", 1), ("sieve", 2), ("sieve", 4), ("attacc", 1)])
def test_vectors_longer_than_a_row_and_parts_are_added_by_the_host(name, parts):
    one = lowered(name, "gemv", {"outputs": 30, "inputs": 2100, "parts": parts})
    assert_within_bounds(one, random_operands(one, "fp16", 2))


@pytest.mark.parametrize("name", ["attacc", "aim", "sieve"])
def test_an_expert_is_a_chain_of_kernels(name):
    """Gate, up, activation and product, down: each within rounding of what it was given, the whole near fp64's."""
    hidden, inner, tokens = 96, 70, 2
    machine = Machine(design(name), number_format("bf16"))
    rng = np.random.default_rng(7)
    weights = {matrix: machine.number.round(rng.standard_normal(size) * 0.3) for matrix, size in
               (("gate", (inner, hidden)), ("up", (inner, hidden)), ("down", (hidden, inner)))}  # fmt: skip
    x = machine.number.round(rng.standard_normal((tokens, hidden)))
    row, out = 0, {}

    def product(matrix, vectors, kernel="gemv"):
        nonlocal row
        one = lowered(name, kernel, {"outputs": len(weights[matrix]), "inputs": vectors.shape[1], "tokens": tokens}, row)
        row = one.next_row
        return assert_within_bounds(one, {"matrix": weights[matrix], "vectors": vectors}, "bf16", machine)["results"]

    def silu(values):
        return values / (1 + np.exp(-values))

    # AiM's unit activates and multiplies elements; elsewhere the host does.
    gate = product("gate", x, "gemv_activated") if name == "aim" else machine.number.round(silu(product("gate", x)))
    up = machine.number.round(product("up", x))
    if name == "aim":
        one = lowered(name, "elements", {"length": gate.size}, row)
        both = {"left": gate.ravel(), "right": up.ravel()}
        between = assert_within_bounds(one, both, "bf16", machine)["product"].reshape(gate.shape)
        row = one.next_row
    else:
        between = machine.number.round(gate * up)
    out = product("down", between)
    exact = {matrix: values.astype(np.float64) for matrix, values in weights.items()}
    expected = (silu(x @ exact["gate"].T) * (x @ exact["up"].T)) @ exact["down"].T
    assert np.linalg.norm(out - expected) < 0.01 * np.linalg.norm(expected)


@pytest.mark.parametrize("name", ["attacc", "aim", "sieve"])
def test_decode_attention_with_softmax_where_it_is(name):
    sizes = {"heads": 5, "context": 75, "head_size": 64}
    rng = np.random.default_rng(8)
    q, k, v = (number_format("fp16").round(rng.standard_normal(size)) for size in ((5, 64), (5, 75, 64), (5, 75, 64)))
    scores = np.einsum("hd,htd->ht", q.astype(np.float64) / 8, k)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    expected = np.einsum("ht,htd->hd", probabilities, v)
    if name == "attacc":
        out = assert_within_bounds(lowered(name, "attention", sizes), {"queries": q / 8, "keys": k, "values": v})["outputs"]
    else:
        machine = Machine(design(name), number_format("fp16"))
        first = lowered(name, "score", sizes)
        found = assert_within_bounds(first, {"queries": q / 8, "keys": k}, machine=machine)["scores"]
        powers = np.exp(found - found.max(axis=1, keepdims=True))
        second = lowered(name, "value", sizes, first.next_row)
        given = {"probabilities": powers / powers.sum(axis=1, keepdims=True), "values": v}
        out = assert_within_bounds(second, given, machine=machine)["outputs"]
    assert np.abs(out - expected).max() < 0.004


@pytest.mark.parametrize("name", ["attacc", "attacc corrected", "aim", "aim corrected", "sieve", "sieve, one row buffer"])
def test_the_engine_multiplies_what_the_values_were_read_from(name, tmp_path):
    """The same lines on the engine: its multiplying commands address the rows and columns that the values came from."""
    shape = {"outputs": 90, "inputs": 1100 if name.startswith("aim") else 700}
    kernel, one = lowered(name, "gemv", shape), design(name)
    read = Counter()

    class Counted(RowStore):
        def read_banks(self, channel, banks, row, column):
            for bank in banks:
                read[channel, bank[0] if "sieve" in name else 0, row, 0 if "sieve" in name else column] += 1
            return super().read_banks(channel, banks, row, column)

    machine = Machine(one, number_format("fp16"))
    machine.rows = Counted(one.counts, one.lanes_per_access, machine.number)
    run_kernel(kernel, random_operands(kernel, "fp16", 6), machine=machine)
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


@pytest.mark.parametrize("name", ["attacc", "attacc corrected"])
@pytest.mark.parametrize("kernel", ["gemv", "gemv_bank_group", "gemv_buffer", "attention"])
def test_values_are_right_in_the_order_in_which_the_engine_issues(name, kernel, tmp_path):
    """AttAcc's controller takes what is ready first; the program's barriers must keep what depends on each other in order."""
    one = lowered(name, kernel, {"outputs": 550, "inputs": 300, "tokens": 2, "heads": 3, "context": 300, "head_size": 40})
    waiting = {}
    for number, instruction in enumerate(read_instructions(one.lines, one.design)):
        place = (*instruction.channels, *instruction.bank, instruction.row, instruction.column)
        waiting.setdefault((one.design.command(instruction.operation), place), deque()).append(number)
    time_program(one.design, one.text(), command_trace=tmp_path / "cmds")
    order = []
    for path in sorted(tmp_path.glob("cmds.ch*")):
        for line in path.read_text().splitlines():
            _, command, *address = (word.strip() for word in line.split(","))
            if command not in ("ACTAB", "ACTSB", "ACTPB", "PREA", "PRESB", "PREPB", "REFab", "BARRIER"):
                order.append(waiting[command, tuple(map(int, address))].popleft())
    assert {command for (command, _), left_over in waiting.items() if left_over} <= {"BARRIER"}
    new = {number: position for position, number in enumerate(order)}
    assert order != sorted(order)
    issued = replace(
        one, lines=[one.lines[number] for number in order],
        takes={new[number]: exchange for number, exchange in one.takes.items()},
        gives={new[number]: exchange for number, exchange in one.gives.items()},
    )  # fmt: skip
    assert_within_bounds(issued, random_operands(one, "fp16", 9))
    # Without the barriers it goes wrong.
    loose = "\n".join(line for line in one.lines if not line.startswith("PIM_BARRIER")) + "\n"
    assert time_program(one.design, loose).cycles < time_program(one.design, one.text()).cycles


def test_registers_rows_and_sums_of_the_host_on_aim():
    """Instructions that no declared kernel uses: normal accesses, general registers, one bank's multiplications."""
    machine = Machine(design("aim"), number_format("fp16"))
    rng = np.random.default_rng(10)
    a, b, c = (number_format("fp16").round(rng.standard_normal(16)) for _ in range(3))
    lines = [
        "W GPR 3", "W GPR 7", "AiM EWADD 1 3 7",  # 7 becomes a + b
        "AiM WR_SBK 3 0x8 5 9", "AiM RD_SBK 20 0x8 5 9",  # channel 0, bank 5
        "AiM WR_ABK 7 0x4 2", "AiM RD_SBK 21 0x4 15 2",  # channel 1, all banks
        "W MEM 2 6 1", "R MEM 2 6 1",
        "AiM WR_GB 1 3 0x8", "AiM WR_BIAS 20 0x8", "AiM MAC_SBK 1 0x8 5 9", "AiM RD_MAC 30 0x8", "R GPR 30",
    ]  # fmt: skip
    sent = {0: Sent(a[None], 3), 1: Sent(b[None], 7), 7: Sent(c[None])}
    answers = execute(machine, read_instructions(lines, design("aim")), sent)
    half = number_format("fp16").round
    assert (machine.general[7] == half(a + b)).all()
    assert (answers[4] == a).all() and (answers[6] == half(a + b)).all() and (answers[8] == c).all()
    # Bank 5's accumulator began at its bias, element 5 of what it had read; the others kept theirs.
    expected = a.copy()
    expected[5] = half(np.float32(a[5]) + (a * a).sum(dtype=np.float32))
    assert (answers[12] == expected).all() and (answers[13] == expected).all()


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
        ("aim", ["W CFR 2 4", "W CFR 1 1", "W CFR 0 1"], r":3: W CFR: register 0 is 0; no other value has a meaning on values"),
        ("aim", ["W CFR 2 9", "AiM WR_BIAS 0 0x1", "AiM AF 0x1"], r":3: AiM AF: function 9 is unknown; there are silu"),
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
    with pytest.raises(ConfigError, match="declares no program 'gem'; did you mean 'gemv'"):
        lower_kernel(one, "gem", SMALL)
    with pytest.raises(CapacityError, match="row 16384 lies outside"):
        lower_kernel(design("aim"), "gemv", SMALL, first_row=16384)
    lowered("hbm-pim", "gemv", {"outputs": 64 * 1820, "inputs": 256})
    with pytest.raises(CapacityError, match="operands take rows below 4098; those from 4096 on have a meaning of their own"):
        lowered("hbm-pim", "gemv", {"outputs": 64 * 1821, "inputs": 256})
    kernel = lower_kernel(one, "gemv", SMALL)
    operands = random_operands(kernel, "fp16", 0)
    with pytest.raises(ConfigError, match="operand 'vector' is unknown; did you mean 'vectors'"):
        run_kernel(kernel, operands | {"vector": [1]})
    with pytest.raises(ConfigError, match=r"matrix has shape \(2, 2\), \(37, 90\) is expected"):
        run_kernel(kernel, operands | {"matrix": np.ones((2, 2))})
    with pytest.raises(ConfigError, match="number format 'fp15' is unknown; did you mean 'fp16'"):
        run_kernel(kernel, operands, number="fp15")


@pytest.mark.parametrize("simulator", ["aim", "attacc"])
def test_traces_of_the_simulators_are_read_as_they_count_them(shared, simulator):
    """Every reference trace: as many instructions of each kind as its simulator reports."""
    for case in sorted((shared / "goldens" / "pim" / simulator).iterdir()):
        config = yaml.safe_load((case / "config.yaml").read_text())["MemorySystem"]["DRAM"]
        one = load_design(DESIGNS[simulator][0], organization=config["org"]["preset"], sizes={"channel": config["org"].get("channel", 32)})
        with gzip.open(case / "trace.txt.gz", "rt") as trace:
            lines = trace.read().splitlines()
        if "_att_" in case.name:  # the generator's offsets within an access vanish in the simulator; on values they are refused
            with pytest.raises(TraceError, match="is not aligned to an access of 32 bytes"):
                list(read_instructions(lines, one))
            lines = [f"{line.split()[0]} {int(line.split()[1], 16) & ~31:#x}" for line in lines]
        found = list(read_instructions(lines, one))
        statistics = json.loads((case / "result.json").read_text())["stats"]
        entries = one.instructions["operations"]
        counts = Counter()
        for instruction in found:
            entry = entries[instruction.operation]
            pim = "" if entry in ("read", "write") else "pim_"
            counts[entry["statistic"] if simulator == "aim" else f"{pim}{entry.replace('-', '_')}"] += 1
        counts.pop("pim_barrier", None)
        known = {name.removeprefix("total_num_").removesuffix("_requests"): n for name, n in statistics.items() if n and name.endswith("_requests")}
        assert counts == known, case.name
