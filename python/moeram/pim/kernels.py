"""Kernels lowered by a declared program: lines to be timed, and what ties them to values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moeram.errors import CapacityError, ConfigError, MoeramError, TraceError, did_you_mean
from moeram.hardware.program_runs import check_program
from moeram.options import dotted
from moeram.options.tree import Key
from moeram.pim.design import PimDesign
from moeram.pim.expressions import Names, evaluate, names_in
from moeram.pim.instructions import address_of
from moeram.pim.programs import Program, Step, load_programs

_MOST_LINES = 20_000_000


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What the host sends with a line, or gets from it: an operand and, of each value, its indices in it by expressions.

    key: of these in the standard's file.
    """

    operand: str
    index: tuple[str | int, ...]
    names: Names
    key: Key


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
        CapacityError: an operand or an instruction takes rows that a bank does not have.
        TraceError: an instruction that the engine refuses, such as one that overflows a buffer.
        All name the key of the program.
    """
    programs = load_programs(design)
    if name not in programs:
        raise ConfigError(f"{design.standard}: declares no program {name!r}{did_you_mean(name, programs)}")
    program = programs[name]
    names = _sizes(design, program, shape, f"{design.standard}: programs.{name}") | {"first_row": first_row}
    key: Key = ("programs", name)
    _check_needs(design, program, names, key)
    _let(design, names, program.let, key)
    rows = first_row
    for operand, placement in program.placed.items():
        rows = max(rows, first_row + evaluate_at(design, (*key, "placed", operand, "rows"), placement.rows, names))
    most = design.unit.operand_rows
    if most is not None and rows > most:
        raise _located(design, key, CapacityError(f"operands take rows below {rows}; those from {most} on have a meaning of their own"))
    work = None if program.work is None else evaluate_at(design, (*key, "work"), program.work, names)
    writer = _Writer(design, key, program.steps)
    writer.steps(program.steps, names)
    kernel = Kernel(
        name=name, design=design, program=program, sizes=names, lines=writer.lines, takes=writer.takes, gives=writer.gives,
        next_row=rows, work=work,
    )  # fmt: skip
    _check_lines(kernel, writer)
    return kernel


def _check_lines(kernel: Kernel, writer: _Writer) -> None:
    """Let the engine read the lines, sizes checked; what it refuses is said with the step that wrote the line."""
    try:
        check_program(kernel.design.memory(checked=True), kernel.text())
    except TraceError as error:
        found = re.match(r"program\.txt:(\d+): (.*)", str(error))
        if found is None or int(found[1]) > len(kernel.lines):
            raise _located(kernel.design, ("programs", kernel.name), error) from None
        complaint = TraceError(f"line {found[1]}: {found[2].rpartition('; a line is ')[0] or found[2]}")
        raise _located(kernel.design, writer.key_of_line(int(found[1])), complaint) from None


def evaluate_at(design: PimDesign, key: Key, expression: str | int, names: Names) -> Any:
    """Return the value of an expression; a complaint names its key in the standard's file.

    Raises:
        ConfigError: as `evaluate`.
    """
    try:
        return evaluate(expression, names)
    except MoeramError as error:
        raise _located(design, key, error) from None


def _located(design: PimDesign, key: Key, error: MoeramError) -> MoeramError:
    return type(error)(f"{design.sections.origin(key)}: {dotted(key)}: {error}")


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


def _check_needs(design: PimDesign, program: Program, names: Names, key: Key) -> None:
    for condition in program.needs:
        if not evaluate_at(design, (*key, "needs"), condition, names):
            sizes = ", ".join(f"{size} is {names[size]}" for size in sorted(names_in(condition)))
            raise _located(design, (*key, "needs"), ConfigError(f"{condition} is needed; {sizes}"))


def _let(design: PimDesign, names: Names, formulas: Mapping[str, str | int], key: Key) -> None:
    for name, formula in formulas.items():
        names[name] = evaluate_at(design, (*key, "let", name), formula, names)


def digits_of(kernel: Kernel, operand: str) -> dict[str, NDArray[np.int64]]:
    """Return the digits of all elements of an operand, padding included: arrays of its padded shape, one for each level and lane."""
    placement, names, design = kernel.program.placed[operand], kernel.sizes, kernel.design
    key: Key = ("programs", kernel.name, "placed", operand)
    padded = tuple(evaluate_at(design, (*key, "padded", i), size, names) for i, size in enumerate(placement.padded))
    axes = np.ogrid[tuple(slice(0, size) for size in padded)]
    inner: Names = dict(names) | dict(zip(placement.index, axes, strict=True))
    _let(design, inner, placement.let, key)
    return {
        level: np.broadcast_to(np.asarray(evaluate_at(design, (*key, "at", level), placement.at.get(level, 0), inner), np.int64), padded)
        for level in (*design.counts, "lane")
    }


class _Writer:
    """Walks the steps of a program; key: of the program."""

    def __init__(self, design: PimDesign, key: Key, steps: tuple[Step, ...]) -> None:
        self.lines: list[str] = []
        self.takes: dict[int, Exchange] = {}
        self.gives: dict[int, Exchange] = {}
        self._design = design
        self._keys: dict[int, Key] = {}  # by the identity of a step
        self._wrote: list[int] = []  # which step wrote a line
        self._number(steps, key)

    def _number(self, steps: tuple[Step, ...], key: Key) -> None:
        for number, step in enumerate(steps):
            self._keys[id(step)] = (*key, "steps", number)
            self._number(step.steps, self._keys[id(step)])

    def key_of_line(self, number: int) -> Key:
        """Return the key of the step that wrote a line, counted from 1."""
        return self._keys[self._wrote[number - 1]]

    def steps(self, steps: tuple[Step, ...], names: Names) -> None:
        for step in steps:
            if step.run is not None:
                self._instruction(step, names)
                continue
            key = self._keys[id(step)]
            for turn in range(evaluate_at(self._design, (*key, "times"), step.times, names)):
                inner = dict(names)
                if step.loop is not None:
                    inner[step.loop] = turn
                _let(self._design, inner, step.let, key)
                self.steps(step.steps, inner)

    def _instruction(self, step: Step, names: Names) -> None:
        assert step.run is not None
        key = self._keys[id(step)]
        if len(self.lines) >= _MOST_LINES:
            raise _located(self._design, key, CapacityError(f"more than {_MOST_LINES:,} lines"))
        for kept, given, name in ((self.takes, step.takes, "takes"), (self.gives, step.gives, "gives")):
            for operand, index in given.items():
                kept[len(self.lines)] = Exchange(operand=operand, index=index, names=names, key=(*key, name, operand))
        entry = self._design.instructions["operations"][step.run]
        if isinstance(entry, str):
            line = self._with_address(step, key, names)
        else:
            line = " ".join(word for name in dict.fromkeys(entry["fields"]) for word in self._words(step, key, entry, name, names))
            line = f"{step.run} {line}" if line else step.run
        self._wrote.append(id(step))
        self.lines.append(line)

    def _with_address(self, step: Step, key: Key, names: Names) -> str:
        digits = {level: self._value(value, names, (*key, "fields", level)) for level, value in step.fields.items()}
        try:
            return f"{step.run} {address_of(self._design, digits):#x}"
        except MoeramError as error:
            raise _located(self._design, (*key, "fields"), error) from None

    def _words(self, step: Step, key: Key, entry: dict[str, Any], name: str, names: Names) -> list[str]:
        """The words of one field of an instruction; a field may stand in its line several times."""
        given, inner, design = step.fields[name], (*key, "fields", name), self._design
        if name == "text":
            return [re.sub(r"\{([^{}]*)\}", lambda found: str(evaluate_at(design, inner, found[1], names)), str(given))]
        values = [self._value(value, names, inner) for value in (given if isinstance(given, tuple) else (given,))]
        if len(values) != entry["fields"].count(name):
            complaint = ConfigError(f"{step.run} has {entry['fields'].count(name)} fields {name}, {len(values)} are given")
            raise _located(design, inner, complaint)
        if name == "row" and values[0] >= design.counts["row"]:
            raise _located(design, inner, CapacityError(f"row {values[0]} lies outside the {design.counts['row']} of a bank"))
        return [f"{self._mask(value):#x}" if name == "mask" else str(value) for value in values]

    def _mask(self, mask: int) -> int:
        """Programs count channels from the lowest bit, some traces from the highest."""
        count = self._design.counts["channel"]
        if not self._design.instructions.get("mask_from_top", False):
            return mask
        return sum(1 << (count - 1 - channel) for channel in range(count) if mask >> channel & 1)

    def _value(self, expression: Any, names: Names, key: Key) -> int:
        value = evaluate_at(self._design, key, expression, names)
        if value < 0:
            raise _located(self._design, key, ConfigError(f"{expression!r} is {value}; no field is negative"))
        return value
