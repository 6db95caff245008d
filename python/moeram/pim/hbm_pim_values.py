"""HBM-PIM's programs on values: rows, registers and 16-bit arithmetic of one pseudochannel's units.

Every number is fetched from the bank, row and column of a lowered command. Each product and each sum is rounded to the format: the units have
registers of 16 bits behind multipliers and adders. What no one wrote cannot be read.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from moeram.errors import TraceError
from moeram.hardware.program_runs import LoweredCommand
from moeram.pim.hbm_pim import LANES, REGISTERS, UNITS, Program, lower
from moeram.pim.numbers import Values, number_format
from moeram.pim.rows import Bank, RowStore

_COUNTS = {"channel": 1, "bankgroup": 4, "block": 2, "bank": 2, "row": 16384, "column": 32}
_SCALARS = {"SRF_M": 0, "SRF_A": 1}
_BANKS = {"EVEN_BANK": 0, "ODD_BANK": 1}


class UnitMachine:
    """Eight units with their banks; rows: a store of (0, bank, row, column). Values are those of a format of 16 bits."""

    def __init__(self, number: str = "fp16") -> None:
        self.number = number_format(number)
        self.rows = RowStore(_COUNTS, LANES, self.number)
        empty = np.full((UNITS, REGISTERS, LANES), np.nan, np.float32)
        self._registers = {"GRF_A": empty.copy(), "GRF_B": empty.copy()}
        self._scalars = np.full((len(_SCALARS), REGISTERS), np.nan, np.float32)
        self._latches: dict[str, Values] = {}

    def run(self, program: Program, sent: Mapping[object, ArrayLike]) -> dict[int, Values]:
        """Execute a program.

        Args:
            sent: what the host writes: accesses [count, 16] by the names that `program.writes` has.

        Returns:
            What `MEM RD` lines read: [count, 16] by line.

        Raises:
            TraceError: names the line: a place or a register that holds nothing, a write of the host without data.
        """
        answers: dict[int, list[Values]] = {}
        taken: dict[int, int] = {}
        for command in lower(program):
            taken[command.line] = taken.get(command.line, -1) + 1
            try:
                answer = self._execute(command, taken[command.line], program.writes, sent)
            except TraceError as error:
                raise TraceError(f"line {command.line}: {command.words}: {error}") from None
            if answer is not None:
                answers.setdefault(command.line, []).append(answer)
        return {line: np.stack(values) for line, values in answers.items()}

    def _execute(
        self, command: LoweredCommand, index: int, writes: Mapping[int, object], sent: Mapping[object, ArrayLike]
    ) -> Values | None:
        def from_host() -> Values:
            name = writes.get(command.line)
            if name not in sent:
                raise TraceError(f"the host sends no {name!r}")
            return self.number.round(np.asarray(sent[name], np.float32)[index])

        if command.words == "MEM RD":
            return self._read_parked(command)
        if command.words == "MEM WR":
            self.rows.write(0, _digits(command.bank), command.row, command.column, from_host())
        elif command.words == "PIM SET":
            for word, name in (("zero_a", "GRF_A"), ("zero_b", "GRF_B")):
                if word in command.text.split():
                    self._registers[name][:] = 0
        elif command.step is not None:
            self._step(command, from_host() if command.step[0] == "DATA" else None)
        return None

    def _read_parked(self, command: LoweredCommand) -> Values | None:
        """Reads of rows with a meaning are asked for their activation alone."""
        if command.row & 0x1000:
            return None
        return self.rows.read(0, _digits(command.bank), command.row, command.column)

    def _step(self, command: LoweredCommand, data: Values | None) -> None:
        assert command.step is not None
        operation, operands, relu = command.step
        to = operands[0]
        if data is not None:
            values = np.broadcast_to(data, (UNITS, LANES))
            if to[0] == "SRF":
                self._scalars[:] = data.reshape(len(_SCALARS), REGISTERS)
                return
        else:
            values = self._compute(operation, to, [self._fetch(operand, command) for operand in operands[1:]], command)
        if relu:
            values = np.maximum(values, np.float32(0))
        self._store(to, values, command)

    def _compute(self, operation: str, to: tuple[str, int], given: list[Values], command: LoweredCommand) -> Values:
        if operation in ("MOV", "FILL"):
            return given[0]
        if operation == "ADD":
            return self._keep("A_OUT", given[0] + given[1])
        product = self.number.round(given[0] * given[1])
        if operation == "MUL":
            return self._keep("M_OUT", product)
        return self._keep("A_OUT", product + (given[2] if operation == "MAD" else self._fetch(to, command)))

    def _keep(self, latch: str, values: Values) -> Values:
        self._latches[latch] = self.number.round(values)
        return self._latches[latch]

    def _fetch(self, operand: tuple[str, int], command: LoweredCommand) -> Values:
        """An operand in all units: [units, lanes]."""
        name, index = operand
        if name in _BANKS:
            banks = (_digits(2 * unit + _BANKS[name]) for unit in range(UNITS))
            return np.stack([self.rows.read(0, bank, command.row, command.column) for bank in banks])
        if name in _SCALARS:
            values = np.full((UNITS, LANES), self._scalars[_SCALARS[name], index])
        elif name in self._registers:
            values = self._registers[name][:, index]
        else:
            values = self._latches.get(name, np.full((UNITS, LANES), np.nan, np.float32))
        if np.isnan(values).any():
            raise TraceError(f"{name}{'' if index < 0 else f'[{index}]'} holds nothing")
        return values

    def _store(self, to: tuple[str, int], values: Values, command: LoweredCommand) -> None:
        name, index = to
        if name in _BANKS:
            for unit in range(UNITS):
                self.rows.write(0, _digits(2 * unit + _BANKS[name]), command.row, command.column, values[unit])
        elif name in _SCALARS:
            self._scalars[_SCALARS[name], index] = values[0, 0]
        elif name in self._registers:
            self._registers[name][:, index] = values


def _digits(bank: int) -> Bank:
    return bank // 4, bank // 2 % 2, bank % 2
