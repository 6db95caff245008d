"""HBM-PIM's programs on values: numpy's 16-bit arithmetic is the reference, and a wrong address must be noticed."""

from __future__ import annotations

import numpy as np
import pytest

from moeram.errors import MoeramError, TraceError
from moeram.pim import hbm_pim_values, load_design, lower_kernel, run_kernel
from moeram.pim.hbm_pim import Program
from moeram.pim.hbm_pim_values import UnitMachine
from moeram.pim.numbers import number_format

DESIGN = load_design("HBM2@hbm-pim")


def gemv_values(matrix, vector, number="fp16"):
    kernel = lower_kernel(DESIGN, "gemv", dict(zip(("outputs", "inputs"), matrix.shape, strict=True)))
    return run_kernel(kernel, {"matrix": matrix, "vectors": vector[None]}, number=number)["results"][0]


def elementwise_values(operation, *operands):
    kernel = lower_kernel(
        DESIGN, {"ADD": "add", "MUL": "multiply", "RELU": "relu"}[operation], {"length": len(operands[0])}
    )
    return run_kernel(kernel, dict(zip(("left", "right"), operands, strict=False)))["result"]


def halves(*shape, seed=0):
    return number_format("fp16").round(np.random.default_rng(seed).standard_normal(shape))


ELEMENTS = 2 * 16 * 8 * 16 * 5  # ten tiles in every bank: more than two rows


def test_elements_are_those_of_half_precision():
    a, b = halves(ELEMENTS), halves(ELEMENTS, seed=1)
    half = np.float16
    assert (elementwise_values("ADD", a, b) == (a.astype(half) + b.astype(half))).all()
    assert (elementwise_values("MUL", a, b) == (a.astype(half) * b.astype(half))).all()
    assert (elementwise_values("RELU", a) == np.maximum(a, 0)).all()


@pytest.mark.parametrize(("outputs", "inputs"), [(64, 128), (128, 384), (320, 256)])
def test_gemv(outputs, inputs):
    rng = np.random.default_rng(3)
    matrix, vector = rng.integers(-3, 4, (outputs, inputs)), rng.integers(-3, 4, inputs)
    assert (gemv_values(matrix, vector) == matrix @ vector).all()
    for number in ("fp16", "bf16"):
        of = number_format(number)
        weights, given = of.round(rng.standard_normal((outputs, inputs))), of.round(rng.standard_normal(inputs))
        exact = weights.astype(np.float64) @ given.astype(np.float64)
        # A lane adds inputs/16 products; each product and each sum errs by half a unit of its last place, sums by at most their magnitude.
        magnitude = np.abs(weights.astype(np.float64)) @ np.abs(given.astype(np.float64))
        bound = magnitude * 2.0**-of.precision_bits * (inputs / 16 + 2)
        assert (np.abs(gemv_values(weights, given, number=number) - exact) <= bound).all()


def test_a_lane_sums_in_the_order_of_the_program():
    """Even tiles before odd ones, each product and each sum rounded: bit for bit."""
    matrix, vector = halves(64, 384), halves(384, seed=4)
    half = np.float16
    sums = np.zeros((64, 16), half)
    for tile in (0, 2, 1):
        for register in range(8):
            at = slice(tile * 128 + register * 16, tile * 128 + register * 16 + 16)
            sums = sums + matrix[:, at].astype(half) * vector[at].astype(half)
    assert (gemv_values(matrix, vector) == np.add.accumulate(sums.astype(np.float32), axis=1)[:, -1]).all()


def test_an_expert_and_attention_are_chains_of_kernels():
    rng = np.random.default_rng(2)
    half = number_format("fp16").round
    gate, up, down = (half(rng.standard_normal(size) / 10) for size in ((2048, 128), (2048, 128), (128, 2048)))
    x = half(rng.standard_normal(128))
    between = elementwise_values(
        "MUL", elementwise_values("RELU", half(gemv_values(gate, x))), half(gemv_values(up, x))
    )
    expected = down.astype(np.float64) @ (np.maximum(gate.astype(np.float64) @ x, 0) * (up.astype(np.float64) @ x))
    assert np.linalg.norm(gemv_values(down, between) - expected) < 0.02 * np.linalg.norm(expected)
    keys, values, query = halves(128, 128), halves(128, 64, seed=1), half(halves(128, seed=2) / np.sqrt(128))
    powers = np.exp(gemv_values(keys, query))  # softmax is the host's
    exact = np.exp(keys.astype(np.float64) @ query)
    found = gemv_values(np.ascontiguousarray(values.T), half(powers / powers.sum()))
    assert np.abs(found - exact / exact.sum() @ values).max() < 0.01


@pytest.mark.parametrize("kernel", ["gemv", "ADD"])
def test_a_wrong_address_is_noticed(monkeypatch, kernel):
    """Every access to operands and results in turn, with another bank, row or column."""

    def result():
        if kernel == "gemv":
            return gemv_values(halves(64, 256), halves(256, seed=5))
        return elementwise_values(kernel, halves(ELEMENTS // 5), halves(ELEMENTS // 5, seed=5))

    right, lower = result(), hbm_pim_values.lower
    for change in range(100):

        def changed(program, change=change):
            lines = [line.split() for line in program.lines]
            accesses = [
                n
                for n, words in enumerate(lines)
                if words[1] in ("RD", "WR") and words[0] == "PIM" and int(words[5], 0) < 0x1000
            ]
            number, position = divmod(change, 3)
            if number == len(accesses):
                raise StopIteration
            words = lines[accesses[number]]
            values = {4: 1 - int(words[4]), 5: int(words[5]) + 1, 6: 0 if int(words[6]) else 8}
            words[4 + position] = str(values[4 + position])
            copy = Program()
            copy.lines, copy.writes = [" ".join(words) for words in lines], program.writes
            return lower(copy)

        monkeypatch.setattr(hbm_pim_values, "lower", changed)
        try:
            assert not np.array_equal(result(), right), change
        except MoeramError:
            continue
        except StopIteration:
            break
    assert change == 3 * (5 if kernel == "gemv" else 12)


def test_every_instruction_and_register():
    machine = UnitMachine()
    data = halves(8, 16)
    scalars = halves(1, 16, seed=6)
    for unit in range(8):
        for column in range(8):
            machine.rows.write(0, (unit // 2, unit % 2, 0), 5, column, data[column] + unit)
    program = Program()
    program.enter(
        [
            "FILL GRF_A EVEN_BANK", "MUL GRF_A[0] GRF_A[0] SRF_M[2]", "MAD GRF_A[1] GRF_A[1] SRF_M[2] SRF_A[3]", "ADD GRF_B[7] A_OUT M_OUT",
            "MOV SRF_A[0] GRF_A[2]", "ADD GRF_B[6] GRF_A[3] SRF_A[0]", "MOV GRF_B[5] GRF_A[4] RELU", "MOV ODD_BANK GRF_B[7]", "NOP 7", "EXIT",
        ]
    )  # fmt: skip
    program.lines.append("PIM WR 1 1 0 0x3fff 1")
    program.writes[len(program.lines)] = "scalars"
    program.start("zero_b")
    program.read(0, 5)
    program.read(0, 5, 0, 6)
    program.write(1, 9, 0, 1)
    program.write(1, 10)
    program.stop()
    program.leave()
    machine.run(program, {"scalars": scalars})
    half = np.float16
    factor, addend = half(scalars[0, 2]), half(scalars[0, 11])
    for unit in range(8):
        rows = (data + unit).astype(half)
        product = rows[0] * factor
        stored = [machine.rows.read(0, (unit // 2, unit % 2, 1), 10, column) for column in range(8)]
        assert (machine.rows.read(0, (unit // 2, unit % 2, 1), 9, 0) == (rows[1] * factor + addend) + product).all()
        assert (stored[7] == (rows[1] * factor + addend) + product).all()
        assert (stored[6] == rows[3] + data[2].astype(half)[0]).all()  # a scalar is lane 0 of the first unit
        assert (stored[5] == np.maximum(rows[4], 0)).all()
        assert all((values == 0).all() for values in stored[:5])


def test_what_no_one_wrote_cannot_be_read():
    program = Program()
    program.enter(["MOV GRF_A[0] GRF_B[3]", "EXIT"])
    program.start()
    program.read(0, 5, 0, 1)
    program.stop()
    program.leave()
    with pytest.raises(TraceError, match=r"line 23: PIM RD: GRF_B\[3\] holds nothing"):
        UnitMachine().run(program, {})
    program = Program()
    program.lines = ["MEM RD 1 1 3 0 0"]
    with pytest.raises(
        TraceError, match="line 1: MEM RD: column 0 of row 0 in channel 0, bankgroup 0, block 1, bank 1 holds nothing"
    ):
        UnitMachine().run(program, {})
    program.lines = ["MEM WR 1 1 3 0 0", "MEM RD 1 1 3 0 0"]
    with pytest.raises(TraceError, match="line 1: MEM WR: the host sends no"):
        UnitMachine().run(program, {})
    program.writes[1] = "x"
    assert (UnitMachine().run(program, {"x": np.arange(16)[None]})[2] == np.arange(16)).all()
