"""Kernels lowered by a declared program: lines to be timed, and what ties them to values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moeram.errors import CapacityError, ConfigError, MoeramError, did_you_mean
from moeram.pim.design import PimDesign
from moeram.pim.expressions import Names, evaluate
from moeram.pim.instructions import address_of
from moeram.pim.programs import Program, Step, load_programs

_MOST_LINES = 20_000_000


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What the host sends with a line, or gets from it: an operand and, of each value, its indices in it by expressions."""

    operand: str
    index: tuple[str | int, ...]
    names: Names


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """One kernel on one design. takes, gives: by the number of the line, from 0. sizes: its shape and all names of the program.

    next_row: the first_row of a kernel beside it. work: its multiplications, if the program says.
    """

    name: str
    design: PimDesign
    program: Program
    sizes: Names
    lines: list[str]
    takes: dict[int, Exchange]
    gives: dict[int, Exchange]
    next_row: int
    work: int | None

    @property
    def operands(self) -> dict[str, tuple[str, ...]]:
        """Names of the sizes of every operand, those of the host and those that lie in rows."""
        placed = {name: one.shape for name, one in self.program.placed.items() if name not in self.program.left_in_rows}
        return self.program.operands | placed

    def text(self) -> str:
        """The program as a trace, with the end that the instruction set wants."""
        end = self.design.instructions.get("end")
        return "\n".join([*self.lines, *([end] if end else []), ""])


def lower_kernel(design: PimDesign, name: str, shape: Mapping[str, int], *, first_row: int = 0) -> Kernel:
    """Lower a kernel of a given shape by the program that the design declares for it.

    Args:
        shape: size by name, as `programs.NAME.shape` has them. first_row: of every bank, for the operands.

    Raises:
        ConfigError: no such program, a size that is missing or unknown, an expression that is wrong.
        CapacityError: an instruction names a row that a bank does not have.
    """
    programs = load_programs(design)
    if name not in programs:
        raise ConfigError(f"{design.standard}: declares no program {name!r}{did_you_mean(name, programs)}")
    program = programs[name]
    where = f"{design.standard}: programs.{name}"
    names = _sizes(design, program, shape, where) | {"first_row": first_row}
    try:
        _let(names, program.let)
        rows = first_row
        for placement in program.placed.values():
            rows = max(rows, first_row + evaluate(placement.rows, names))
        most = design.unit.operand_rows
        if most is not None and rows > most:
            raise CapacityError(f"operands take rows below {rows}; those from {most} on have a meaning of their own")
        work = None if program.work is None else evaluate(program.work, names)
        writer = _Writer(design, [], {}, {})
        writer.steps(program.steps, names)
    except MoeramError as error:
        raise type(error)(f"{where}: {error}") from None
    return Kernel(
        name=name, design=design, program=program, sizes=names, lines=writer.lines, takes=writer.takes, gives=writer.gives,
        next_row=rows, work=work,
    )  # fmt: skip


def _sizes(design: PimDesign, program: Program, shape: Mapping[str, int], where: str) -> Names:
    for size in shape:
        if size not in program.shape:
            raise ConfigError(f"{where}: size {size!r} is unknown{did_you_mean(size, program.shape)}")
    sizes: Names = {**design.facts["timing"], **design.counts, "lanes": design.lanes_per_access}
    sizes["all"] = (1 << design.counts["channel"]) - 1
    for buffer, size in design.unit.buffers.items():
        sizes[f"{buffer}_entries"] = size // design.unit.access_bytes
    for size, default in program.shape.items():
        value = shape.get(size, default)
        if value is None:
            raise ConfigError(f"{where}: {size} is missing")
        if value < 1:
            raise ConfigError(f"{where}: {size} is {value}; at least 1 is expected")
        if size in sizes:
            raise ConfigError(f"{where}: {size!r} is the name of a level or of a time; another is needed")
        sizes[size] = value
    return sizes


def _let(names: Names, formulas: Mapping[str, str | int]) -> None:
    for name, formula in formulas.items():
        names[name] = evaluate(formula, names)


def digits_of(kernel: Kernel, operand: str) -> dict[str, NDArray[np.int64]]:
    """Return the digits of all elements of an operand, padding included: arrays of its padded shape, one for each level and lane."""
    placement, names = kernel.program.placed[operand], kernel.sizes
    padded = tuple(evaluate(size, names) for size in placement.padded)
    axes = np.ogrid[tuple(slice(0, size) for size in padded)]
    inner: Names = dict(names) | dict(zip(placement.index, axes, strict=True))
    _let(inner, placement.let)
    return {
        level: np.broadcast_to(np.asarray(evaluate(placement.at.get(level, 0), inner), np.int64), padded)
        for level in (*kernel.design.counts, "lane")
    }


@dataclass
class _Writer:
    """Walks the steps of a program."""

    design: PimDesign
    lines: list[str]
    takes: dict[int, Exchange]
    gives: dict[int, Exchange]
    _fields: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def steps(self, steps: tuple[Step, ...], names: Names) -> None:
        for step in steps:
            if step.run is not None:
                self._instruction(step, names)
                continue
            for turn in range(evaluate(step.times, names)):
                inner = dict(names)
                if step.loop is not None:
                    inner[step.loop] = turn
                _let(inner, step.let)
                self.steps(step.steps, inner)

    def _instruction(self, step: Step, names: Names) -> None:
        assert step.run is not None
        if len(self.lines) >= _MOST_LINES:
            raise CapacityError(f"more than {_MOST_LINES:,} lines")
        for kept, given in ((self.takes, step.takes), (self.gives, step.gives)):
            for operand, index in given.items():
                kept[len(self.lines)] = Exchange(operand=operand, index=index, names=names)
        entry = self.design.instructions["operations"][step.run]
        if isinstance(entry, str):
            digits = {level: self._value(value, names) for level, value in step.fields.items()}
            self.lines.append(f"{step.run} {address_of(self.design, digits):#x}")
            return
        words = [step.run]
        for name in dict.fromkeys(entry["fields"]):
            given = step.fields[name]
            if name == "text":
                words.append(_text(str(given), names))
                continue
            values = [self._value(value, names) for value in (given if isinstance(given, tuple) else (given,))]
            if len(values) != entry["fields"].count(name):
                raise ConfigError(f"{step.run} has {entry['fields'].count(name)} fields {name}, {len(values)} are given")
            if name == "row" and values[0] >= self.design.counts["row"]:
                raise CapacityError(f"row {values[0]} lies outside the {self.design.counts['row']} of a bank")
            if name == "mask":
                values = [self._mask(value) for value in values]
            words += [f"{value:#x}" if name == "mask" else str(value) for value in values]
        self.lines.append(" ".join(words))

    def _mask(self, mask: int) -> int:
        """Programs count channels from the lowest bit, some traces from the highest."""
        count = self.design.counts["channel"]
        if not self.design.instructions.get("mask_from_top", False):
            return mask
        return sum(1 << (count - 1 - channel) for channel in range(count) if mask >> channel & 1)

    @staticmethod
    def _value(expression: Any, names: Names) -> int:
        value = evaluate(expression, names)
        if value < 0:
            raise ConfigError(f"{expression!r} is {value}; no field is negative")
        return value


def _text(text: str, names: Names) -> str:
    """A field of words; an expression in braces becomes its value."""
    return re.sub(r"\{([^{}]*)\}", lambda found: str(evaluate(found[1], names)), text)
