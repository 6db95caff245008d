"""A computing memory that runs programs on values: rows, buffers, accumulators and registers of all channels."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import numpy as np

from moeram.errors import TraceError
from moeram.pim.design import Meaning, PimDesign
from moeram.pim.instructions import Instruction
from moeram.pim.numbers import NumberFormat, Values
from moeram.pim.rows import Bank, RowStore


class Machine:
    """The state of a memory between instructions.

    Operands are 16-bit values; products and sums are fp32; results are rounded when they leave the unit, unless its accumulators are
    read as fp32. What no one wrote cannot be read, in rows as in buffers and registers.
    """

    def __init__(self, design: PimDesign, number: NumberFormat) -> None:
        self.design = design
        self.number = number
        self.rows = RowStore(design.counts, design.lanes_per_access, number)
        self.general: dict[int, Values] = {}
        self.tokens: dict[int, int] = {}
        self.registers: list[int] = list(design.instructions.get("registers", ()))
        self.activated: dict[int, dict[Bank, Values]] = {}
        self._buffers: dict[tuple[int, str, Bank], dict[int, Values]] = {}
        self._accumulators: dict[int, dict[Bank, dict[int, Values]]] = {}
        self._walked: dict[int, int] = {}
        self.first_row: dict[int, int] = {}
        self._reached: dict[tuple[int, Bank], tuple[int, int]] = {}

    def banks(self, instruction: Instruction) -> list[Bank]:
        """Return the banks that an instruction's command reaches: all of its span, beside the digits that it names."""
        spans = self.design.spans(instruction.operation)
        levels = self.design.bank_levels
        if instruction.bank is None and set(spans) != set(levels):
            raise TraceError("names no bank")
        named = instruction.bank or (0,) * len(levels)
        digits = (
            range(self.design.counts[level]) if level in spans else (digit,)
            for level, digit in zip(levels, named, strict=True)
        )
        return list(product(*digits))

    def only(self, bank: Bank, levels: tuple[str, ...]) -> Bank:
        """Return a bank's digits at some levels, 0 at the others: the name of a part that the others share."""
        return tuple(digit if level in levels else 0 for level, digit in zip(self.design.bank_levels, bank, strict=True))

    def unit_of(self, bank: Bank, meaning: Meaning) -> Bank:
        """Return the name of the unit that a bank feeds."""
        return self.only(bank, self.design.bank_levels if meaning.unit is None else meaning.unit)

    def load_buffer(self, channel: int, name: str, part: Bank, entry: int, values: Values) -> None:
        """Write one access of an operand: entry 0 begins a new one, and multiplications begin with entry 0."""
        if entry == 0:
            self._buffers[channel, name, part] = {}
        self.write_buffer(channel, name, part, entry, values)
        self._walked[channel] = 0

    def write_buffer(self, channel: int, name: str, part: Bank, entry: int, values: Values) -> None:
        """Write one access."""
        most = self.design.unit.buffers[name] // self.design.unit.access_bytes
        if not 0 <= entry < most:
            raise TraceError(f"entry {entry} overflows buffer {name} of {most} accesses")
        self._buffers.setdefault((channel, name, part), {})[entry] = self.number.round(values)

    def read_buffer(self, channel: int, name: str, part: Bank, entry: int) -> Values:
        """Return one access: [lanes]."""
        held = self._buffers.get((channel, name, part), {})
        if entry not in held:
            raise TraceError(f"entry {entry} of buffer {name} in channel {channel} holds nothing")
        return held[entry]

    def next_entry(
        self, channel: int, name: str, part: Bank, column: int, vectors: int = 1, position: int | None = None
    ) -> tuple[int, int]:
        """Return the entry that a column is multiplied with, and which of the unit's results it belongs to.

        Of several vectors the first entries lie first, then the second ones, and so on.

        Args:
            position: of the multiplication among those of the operand, where the unit takes it from the address.
        """
        if not self.design.unit.walks:
            return column * vectors, 0
        count, rest = divmod(len(self._buffers.get((channel, name, part), ())), vectors)
        if rest:
            raise TraceError(f"buffer {name} of channel {channel} does not hold {vectors} whole vectors")
        if not count:
            raise TraceError(f"buffer {name} of channel {channel} holds nothing")
        if position is None:
            position = self._walked.get(channel, 0)
            self._walked[channel] = position + 1
        turn, entry = divmod(position, count)
        return entry * vectors, turn

    def position(self, instruction: Instruction, channel: int, levels: tuple[str, ...]) -> int:
        """Return the number of an address in an operand that goes around these levels, the first one fastest."""
        if channel not in self.first_row:
            raise TraceError(f"channel {channel} was not told in which row its operand begins")
        digits = dict(zip(self.design.bank_levels, instruction.bank or (), strict=True))
        digits |= {"column": instruction.column or 0, "row": self.row(instruction) - self.first_row[channel]}
        position, weight = 0, 1
        for level in levels:
            position += digits[level] * weight
            weight *= self.design.counts[level]
        return position

    def columns(self, instruction: Instruction, channel: int, bank: Bank) -> range:
        """Return the columns that an instruction touches in the rows of its span."""
        if instruction.column is not None:
            return range(instruction.column, instruction.column + instruction.opsize)
        if not self.design.unit.counts_columns:
            return range(instruction.opsize)
        row = self.row(instruction)
        opened, first = self._reached.get((channel, bank), (row, 0))
        if opened != row:
            first = 0
        self._reached[channel, bank] = (row, first + instruction.opsize)
        return range(first, first + instruction.opsize)

    def open(self, instruction: Instruction, channel: int, bank: Bank) -> None:
        """Begin a row anew."""
        self._reached[channel, bank] = (self.row(instruction), 0)

    def entry(self, instruction: Instruction) -> int:
        """Return the buffer entry that an instruction names, or its row and column; 0 if it names none."""
        if instruction.entry is not None:
            return instruction.entry
        return (instruction.row or 0) * self.design.counts["column"] + (instruction.column or 0)

    def row(self, instruction: Instruction) -> int:
        """Return the row that an instruction names."""
        if instruction.row is None:
            raise TraceError("names no row")
        return instruction.row

    def accumulate(self, channel: int, unit: Bank, terms: Values, turn: int) -> None:
        """Add a term for each vector to a unit's results of a turn."""
        held = self._accumulators.setdefault(channel, {}).setdefault(unit, {})
        if turn not in held:
            count = len(terms) * len(held)
            if count + len(terms) > self.design.unit.accumulators:
                raise TraceError(f"a unit holds {count} results, no one has read them")
            held[turn] = np.zeros(len(terms), np.float32)
        held[turn] += terms

    def set_accumulators(self, channel: int, values: dict[Bank, Values]) -> None:
        """Replace the results of all units of a channel: one value each."""
        self._accumulators[channel] = {unit: {0: np.full(1, value, np.float32)} for unit, value in values.items()}

    def results(self, channel: int) -> dict[Bank, Values]:
        """Return the results of the units of a channel, by unit; a unit without a result is not among them."""
        held = self._accumulators.get(channel, {})
        return {unit: np.concatenate([turns[turn] for turn in sorted(turns)]) for unit, turns in held.items()}

    def clear(self, channel: int, units: Iterable[Bank]) -> None:
        """Forget the results of units; those of a unit that does not walk stay until they are set."""
        if self.design.unit.walks:
            for unit in list(units):
                self._accumulators.get(channel, {}).pop(unit, None)

    def units(self) -> list[Bank]:
        """Return all banks' digits, in order: the units of a design with one at every bank."""
        return list(product(*(range(self.design.counts[level]) for level in self.design.bank_levels)))

    def general_values(self, number: int) -> Values:
        """Return a general register: [lanes]."""
        if number not in self.general:
            raise TraceError(f"general register {number} holds nothing")
        return self.general[number]
