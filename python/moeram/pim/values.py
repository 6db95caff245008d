"""Kernels on values: operands into the rows, the lowered lines through the machine, results back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from moeram.errors import ConfigError, TraceError, did_you_mean
from moeram.pim.design import PimDesign
from moeram.pim.hbm_pim import Program
from moeram.pim.hbm_pim_values import UnitMachine
from moeram.pim.instructions import read_instructions
from moeram.pim.kernels import Exchange, Kernel, digits_of, evaluate_at
from moeram.pim.machine import Machine
from moeram.pim.meanings import Sent, execute
from moeram.pim.numbers import NumberFormat, Values, number_format
from moeram.pim.programs import ZERO
from moeram.pim.reference import reference


def run_kernel(
    kernel: Kernel, operands: Mapping[str, ArrayLike], *, number: str = "fp16", machine: Machine | None = None
) -> dict[str, Values]:
    """Execute a kernel's lines on values.

    Operands are rounded to the number format and placed as the program says; every address is that of a line. The host adds up what
    it gets for the same element of a result, in fp32.

    Args:
        operands: by name, of the shapes that the program declares. number: "fp16" or "bf16". machine: one whose rows go on being used.

    Returns:
        Results by name, float32.

    Raises:
        ConfigError: an operand is missing or has another shape. CapacityError: it does not fit. TraceError: as `execute`, or a result
            that no line gave.
    """
    machine = machine or Machine(kernel.design, number_format(number))
    held = _operands(kernel, operands, machine.number)
    place(kernel, held, machine)
    answers = play(kernel, held, machine, kernel.lines)
    return collect(kernel, answers) | left(kernel, machine)


def place(kernel: Kernel, operands: Mapping[str, Values], machine: Machine) -> None:
    """Write the operands that lie in rows."""
    for name, placement in kernel.program.placed.items():
        if name in kernel.program.left_in_rows:
            continue
        at = digits_of(kernel, name)
        values = np.zeros(at["lane"].shape, np.float32)
        values[tuple(slice(0, kernel.sizes[size]) for size in placement.shape)] = operands[name]
        machine.rows.place(values, at)


def play(kernel: Kernel, operands: Mapping[str, Values], machine: Machine, lines: list[str]) -> dict[int, Values]:
    """Execute lines, those of the kernel or as many others; returns what each sent to the host.

    The host sends what the kernel's own lines take, into the registers that they name, and takes answers from the registers that they name.
    """
    if kernel.design.unit.microcode:
        return _play_microcode(kernel, operands, machine, lines)
    origin = f"{kernel.design.standard} {kernel.name}"
    own = list(read_instructions(kernel.lines, kernel.design, origin))
    sent = {
        line: Sent(
            _payload(exchange, operands, own[line].opsize, machine), own[line].general[0] if own[line].general else None
        )
        for line, exchange in kernel.takes.items()
    }
    fetched = {line: own[line].general[0] for line in kernel.gives if own[line].general}
    program = own if lines is kernel.lines else read_instructions(lines, kernel.design, origin)
    return execute(machine, program, sent, fetched)


def _play_microcode(
    kernel: Kernel, operands: Mapping[str, Values], machine: Machine, lines: list[str]
) -> dict[int, Values]:
    program = Program()
    program.lines = lines
    program.writes = {line + 1: line for line in kernel.takes}
    sent = {
        line: _payload(exchange, operands, int(kernel.lines[line].split()[2]), machine)
        for line, exchange in kernel.takes.items()
    }
    units = UnitMachine(machine.number.name)
    units.rows = machine.rows
    return {line - 1: answer for line, answer in units.run(program, sent).items()}


def collect(kernel: Kernel, answers: Mapping[int, Values]) -> dict[str, Values]:
    """Add up what the host got; values that belong to no element of the result are padding.

    Raises:
        TraceError: an element of a result that no line gave.
    """
    results: dict[str, Values] = {}
    for name, shape in kernel.program.results.items():
        size = tuple(kernel.sizes[dimension] for dimension in shape)
        total, given = np.zeros(size, np.float32).ravel(), np.zeros(size, bool).ravel()
        for line, exchange in kernel.gives.items():
            if exchange.operand != name:
                continue
            answer = answers.get(line)
            if answer is None:
                raise TraceError(f"{kernel.design.standard} {kernel.name}:{line + 1}: gives {name}, but answers nothing")
            index, inside = _indices(kernel.design, exchange, answer.shape, size, ("from_channel", "value"))
            np.add.at(total, index[inside], answer[inside])
            given[index[inside]] = True
        if not given.all():
            raise TraceError(f"{kernel.design.standard} {kernel.name}: nothing gave element {int(np.argmin(given))} of {name}")
        results[name] = total.reshape(size)
    return results


def _operands(kernel: Kernel, given: Mapping[str, ArrayLike], number: NumberFormat) -> dict[str, Values]:
    shapes = kernel.operands
    for name in given:
        if name not in shapes:
            raise ConfigError(f"{kernel.name}: operand {name!r} is unknown{did_you_mean(name, shapes)}")
    held: dict[str, Values] = {}
    for name, sizes in shapes.items():
        shape = tuple(kernel.sizes[size] for size in sizes)
        if name not in given:
            raise ConfigError(f"{kernel.name}: operand {name!r} is missing")
        values = np.asarray(given[name], np.float32)
        if values.shape != shape:
            raise ConfigError(f"{kernel.name}: {name} has shape {values.shape}, {shape} is expected")
        held[name] = number.round(values)
    return held


def _payload(exchange: Exchange, operands: Mapping[str, Values], opsize: int, machine: Machine) -> Values:
    """What the host sends: elements by their indices, zeros where there is none."""
    shape = (opsize, machine.rows.lanes)
    if exchange.operand == ZERO:
        return np.zeros(shape, np.float32)
    operand = operands[exchange.operand]
    index, inside = _indices(machine.design, exchange, shape, operand.shape, ("entry", "lane"))
    return np.where(inside, operand.ravel()[index], np.float32(0))


def _indices(
    design: PimDesign, exchange: Exchange, shape: tuple[int, ...], size: tuple[int, ...], axes: tuple[str, str]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the flat index of each value that is exchanged, and whether there is such an element."""
    grid = np.ogrid[: shape[0], : shape[1]]
    names = dict(exchange.names) | dict(zip(("entry", "lane"), grid, strict=True)) | dict(zip(axes, grid, strict=True))
    inside, flat = np.ones(shape, bool), np.zeros(shape, np.int64)
    for number, (expression, count) in enumerate(zip(exchange.index, size, strict=True)):
        value = evaluate_at(design, (*exchange.key, number), expression, names)
        index = np.broadcast_to(np.asarray(value, np.int64), shape)
        inside &= (index >= 0) & (index < count)
        flat = flat * count + index
    return np.where(inside, flat, 0), inside


def left(kernel: Kernel, machine: Machine) -> dict[str, Values]:
    """Return the results that a kernel leaves in the rows."""
    out = {}
    for name in kernel.program.left_in_rows:
        own = tuple(slice(0, kernel.sizes[size]) for size in kernel.program.placed[name].shape)
        out[name] = machine.rows.take({level: digits[own] for level, digits in digits_of(kernel, name).items()})
    return out


class ValueCheck(NamedTuple):
    """One result of a kernel on random values. largest_share: the largest error over the bound that rounding allows."""

    result: str
    passed: bool
    largest_share: float


def random_operands(kernel: Kernel, number: NumberFormat, seed: int) -> dict[str, Values]:
    """Return normal random values of the format, with a deviation of a half, for all operands of a kernel."""
    rng = np.random.default_rng(seed)
    return {
        name: number.round(rng.standard_normal([kernel.sizes[size] for size in sizes]) / 2)
        for name, sizes in kernel.operands.items()
    }


def check_kernel(kernel: Kernel, *, number: str = "fp16", seed: int = 0) -> list[ValueCheck]:
    """Run a kernel on random values and hold its results against numpy.

    Raises:
        ConfigError, CapacityError, TraceError: as `run_kernel` and `reference`.
    """
    values = random_operands(kernel, number_format(number), seed)
    results = run_kernel(kernel, values, number=number)
    checks = []
    for name, (exact, bound) in reference(kernel, values, number_format(number)).items():
        share = np.abs(results[name] - exact) / np.maximum(bound, np.finfo(np.float64).tiny)
        checks.append(ValueCheck(name, bool((share <= 1).all()), float(share.max())))
    return checks
