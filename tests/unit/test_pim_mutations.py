"""A wrong address in a program, or an operand in a wrong place, must give a wrong number or a message."""

from __future__ import annotations

import numpy as np
import pytest
from pim_kernels import KERNELS, SMALL, design, lowered, random_operands

from moeram.errors import CapacityError, TraceError
from moeram.pim import Machine, run_kernel
from moeram.pim.kernels import digits_of
from moeram.pim.numbers import FORMATS, number_format
from moeram.pim.rows import RowStore
from moeram.pim.values import collect, left, place, play


def changed_lines(lines, word, position, by):
    """Every line of an operation with one of its numbers changed."""
    for number, line in enumerate(lines):
        words = line.split()
        if " ".join(words[: len(word.split())]) == word:
            words[position] = str(int(words[position], 0) + by)
            yield [*lines[:number], " ".join(words), *lines[number + 1 :]]


def is_noticed(kernel, operands, right, lines, shift=None):
    """Whether a changed program, or operands moved in the rows, give another result or a message."""
    machine = Machine(kernel.design, number_format("fp16"))
    if shift is not None:
        machine.rows = shift(kernel.design)
    try:
        place(kernel, operands, machine)
        answers = play(kernel, operands, machine, lines)
        result = collect(kernel, answers) | left(kernel, machine)
    except (TraceError, CapacityError):
        return True
    return any(not np.array_equal(result[name], right[name]) for name in right)


GEMV = {"outputs": 60, "inputs": 1100}  # more than all but AiM's last channel's units
HEADS = {"heads": 4, "context": 70, "head_size": 40}
MUTATIONS = [
    ("aim", "gemv", GEMV, "AiM MAC_ABK", 4, 1),  # row
    ("aim", "gemv", GEMV, "AiM MAC_ABK", 2, -1),  # columns
    ("aim", "gemv", GEMV, "AiM MAC_ABK", 3, -1),  # channels
    ("aim", "gemv", GEMV, "AiM WR_GB", 2, -1),
    ("aim", "gemv", GEMV, "AiM WR_GB", 3, 1),  # general register
    ("aim", "gemv", GEMV, "AiM WR_BIAS", 2, -1),
    ("aim", "gemv", GEMV, "AiM RD_MAC", 2, 1),
    ("aim", "gemv_activated", SMALL, "W CFR", 3, 1),
    ("aim", "elements", {"length": 900}, "AiM EWMUL", 4, 1),
    ("aim", "elements", {"length": 900}, "AiM EWMUL", 2, -1),
    ("aim", "copy", {"length": 900}, "AiM COPY_BKGB", 4, 1),  # bank
    ("aim", "copy", {"length": 900}, "AiM COPY_GBBK", 4, -1),
    ("aim", "copy", {"length": 900}, "AiM COPY_GBBK", 5, 1),  # row
    ("aim", "score", HEADS, "AiM MAC_ABK", 4, 1),
    ("aim", "score", HEADS, "AiM WR_GB", 4, -1),  # channels
    ("aim", "value", HEADS, "AiM MAC_ABK", 4, 1),
    ("hbm-pim", "gemv", SMALL, "PIM RD", 5, 1),  # row
    ("hbm-pim", "gemv", SMALL, "PIM RD", 2, -1),
    ("hbm-pim", "gemv", SMALL, "PIM WR", 5, 1),
    ("hbm-pim", "multiply", {"length": 2500}, "PIM RD", 5, 1),
    ("hbm-pim", "multiply", {"length": 2500}, "PIM RD", 6, 8),
    ("sieve", "gemv", GEMV, "PIM MAC", 5, 1),
    ("sieve", "gemv", GEMV, "PIM MAC", 2, 1),
    ("sieve", "gemv", GEMV, "PIM MAC", 2, -1),
    ("sieve", "gemv", GEMV, "PIM MAC", 3, -1),
    ("sieve", "gemv", GEMV, "PIM WRVEC", 2, 1),
    ("sieve", "gemv", GEMV, "PIM RDRES", 2, -1),
    ("sieve", "score", HEADS, "PIM MAC", 5, 1),
    ("sieve", "value", HEADS, "PIM MAC", 5, 1),
    ("sieve", "value", HEADS, "PIM WRVEC", 3, 1),
]


@pytest.mark.parametrize(("name", "kernel", "sizes", "operation", "position", "by"), MUTATIONS)
def test_no_number_of_a_program_can_be_off_by_one(name, kernel, sizes, operation, position, by):
    one = lowered(name, kernel, sizes)
    operands = random_operands(one, "fp16", 3)
    right = run_kernel(one, operands)
    assert not is_noticed(one, operands, right, one.lines)
    changed = list(changed_lines(one.lines, operation, position, by))
    assert changed
    assert all(is_noticed(one, operands, right, lines) for lines in changed)


def test_a_bank_of_the_other_row_buffer_is_noticed():
    kernel = lowered("sieve", "gemv", SMALL)
    operands = random_operands(kernel, "fp16", 3)
    right = run_kernel(kernel, operands)
    for number, line in enumerate(kernel.lines):
        if line.startswith("PIM MAC"):
            words = line.split()
            words[4] = str(24 - int(words[4]))
            assert is_noticed(kernel, operands, right, [*kernel.lines[:number], " ".join(words), *kernel.lines[number + 1 :]])


# Digits that matter: multiplications and loads reach all banks and groups of their kind; answers of MV_SB add up the banks.
DIGITS = {
    ("gemv", "PIM_MAC_AB"): {"channel", "row", "column"},
    ("gemv", "PIM_WR_GB"): {"channel", "bank", "row", "column"},
    ("gemv", "PIM_MV_SB"): {"channel", "pseudochannel", "rank", "bankgroup"},
    ("gemv_bank_group", "PIM_MAC_SB"): {"channel", "bank", "row", "column"},
    ("gemv_buffer", "PIM_MAC_PB"): {"channel", "rank", "bankgroup", "bank", "row", "column"},
    ("gemv_buffer", "PIM_SET_MODEL"): {"channel", "row"},
    ("attention", "PIM_MAC_AB"): {"channel", "row", "column"},
    ("attention", "PIM_MV_GB"): {"channel", "bank", "row", "column"},
    ("attention", "PIM_SET_HEAD"): {"channel", "row", "column"},
    ("attention", "PIM_SFM"): {"channel"},
}


@pytest.mark.parametrize(("kernel", "operation"), DIGITS)
def test_no_digit_of_an_address_can_be_off_by_one(kernel, operation):
    counts = design("attacc").counts
    one = lowered("attacc", kernel, {"outputs": 37, "inputs": 300, "heads": 2, "context": 60, "head_size": 20})
    operands = random_operands(one, "fp16", 4)
    right = run_kernel(one, operands)
    numbers = [number for number, line in enumerate(one.lines) if line.startswith(operation)]
    stride = 32
    for level, count in reversed(counts.items()):
        for number in numbers[:: len(numbers) // 4 + 1]:
            address = int(one.lines[number].split()[1], 16)
            digit = address // stride % count
            moved = address + (stride if digit + 1 < count else -digit * stride)
            lines = [*one.lines[:number], f"{operation} {moved:#x}", *one.lines[number + 1 :]]
            assert is_noticed(one, operands, right, lines) == (level in DIGITS[kernel, operation]), (level, number)
        stride *= count


@pytest.mark.parametrize(("name", "kernel"), [pair for pair in KERNELS if "corrected" not in pair[0] and pair[0] not in ("sieve, one row buffer", "duplex")])
def test_operands_one_place_off_are_noticed(name, kernel):
    one = lowered(name, kernel, SMALL | {"length": 700, "heads": 3, "context": 40, "head_size": 20})
    operands = random_operands(one, "fp16", 5)
    right = run_kernel(one, operands)
    for operand in operands.keys() & one.program.placed.keys():
        places = digits_of(one, operand)
        used = {level for level, digits in places.items() if digits.max() > 0}
        for level in used | {"row"}:

            class Shifted(RowStore):
                def place(self, values, at, level=level, places=places):
                    mine = all(np.array_equal(at[name], places[name]) for name in at)
                    size = self.counts.get(level, self.lanes)
                    super().place(values, at | {level: (at[level] + 1) % size} if mine else at)

            def store(design, kind=Shifted):
                return kind(design.counts, design.lanes_per_access, FORMATS["fp16"])

            assert is_noticed(one, operands, right, one.lines, store), (operand, level)
