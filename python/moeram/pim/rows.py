"""The contents of a memory's rows, sparse: what no one wrote cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from moeram.errors import CapacityError, TraceError
from moeram.pim.numbers import NumberFormat, Values

Bank = tuple[int, ...]


class RowStore:
    """Rows by (channel, bank, row), a bank being its digits at the levels between channel and row.

    A row is an array [columns, lanes] of values of the format; a column is one access of the unit. Cells without a value are NaN.

    Raises:
        TraceError: from every access, a place that the memory does not have, or one that holds nothing.
    """

    def __init__(self, counts: dict[str, int], lanes: int, number: NumberFormat) -> None:
        self.counts = counts
        self.lanes = lanes
        self.number = number
        self._levels = tuple(counts)[1:-2]
        self._rows: dict[tuple[int, Bank, int], Values] = {}
        self._nothing = np.full((counts["column"], lanes), np.nan, np.float32)

    def read(self, channel: int, bank: Bank, row: int, column: int) -> Values:
        """Return one column: [lanes]."""
        return self.read_banks(channel, (bank,), row, column)[0]

    def read_banks(self, channel: int, banks: Sequence[Bank], row: int, column: int) -> Values:
        """Return the same column of several banks: [banks, lanes]."""
        rows = [self._rows.get((channel, bank, row), self._nothing) for bank in banks]
        if not column < self.counts["column"] or any(held is self._nothing for held in rows):
            return self._refuse(channel, banks, row, column)
        values = np.stack([held[column] for held in rows])
        return self._refuse(channel, banks, row, column) if np.isnan(values).any() else values

    def read_part(self, channel: int, bank: Bank, row: int, lane: int, lanes: int, column: int = 0) -> Values:
        """Return some lanes of one column: [lanes]."""
        self._check(channel, bank, row, column)
        part = self._rows.get((channel, bank, row), self._nothing)[column, lane : lane + lanes]
        if np.isnan(part).any():
            raise TraceError(f"lanes {lane} to {lane + lanes - 1} of row {row} in {self._name(channel, bank)} hold nothing")
        return part

    def _refuse(self, channel: int, banks: Sequence[Bank], row: int, column: int) -> Values:
        for bank in banks:
            self._check(channel, bank, row, column)
            if np.isnan(self._rows.get((channel, bank, row), self._nothing)[column]).any():
                raise TraceError(f"column {column} of row {row} in {self._name(channel, bank)} holds nothing")
        raise AssertionError("a place that can be read was refused")

    def write(self, channel: int, bank: Bank, row: int, column: int, values: Values) -> None:
        """Write one column: [lanes]."""
        self._check(channel, bank, row, column)
        self._row(channel, bank, row)[column] = self.number.round(values)

    def place_column(self, channel: int, bank: Bank, row: int, column: int, values: Values) -> None:
        """Write one column [lanes] of an operand.

        Raises:
            CapacityError: as `place`.
        """
        try:
            self._check(channel, bank, row, column)
        except TraceError as error:
            raise CapacityError(f"an operand does not fit: {error}") from None
        if not np.isnan(self._row(channel, bank, row)[column]).all():
            raise CapacityError(f"an operand lies already in row {row} of {self._name(channel, bank)}")
        self.write(channel, bank, row, column, values)

    def place(self, values: NDArray[np.floating], at: dict[str, NDArray[np.int64]]) -> None:
        """Write elements one by one.

        Args:
            values: [...]. at: of each element, arrays of that shape: digit at every level and its "lane" in the column.

        Raises:
            CapacityError: an element outside the memory, two in one place, or one where another operand lies.
        """
        names = (*self.counts, "lane")
        sizes = (*self.counts.values(), self.lanes)
        index = np.stack([np.broadcast_to(at[name], values.shape).ravel() for name in names], axis=1)
        for position, (name, size) in enumerate(zip(names, sizes, strict=True)):
            outside = (index[:, position] < 0) | (index[:, position] >= size)
            if outside.any():
                raise CapacityError(f"an element lies at {name} {index[outside, position][0]}; there are {size}")
        order = np.lexsort(index.T[::-1])
        index, flat = index[order], self.number.round(values).ravel()[order]
        twice = (index[1:] == index[:-1]).all(axis=1)
        if twice.any():
            where = ", ".join(f"{name} {digit}" for name, digit in zip(names, index[1:][twice][0], strict=True))
            raise CapacityError(f"two elements lie at {where}")
        new_row = np.flatnonzero((index[1:, :-2] != index[:-1, :-2]).any(axis=1)) + 1
        for begin, end in pairwise([0, *new_row.tolist(), len(index)]):
            channel, *bank, row = (int(digit) for digit in index[begin, :-2])
            cells = self._row(channel, tuple(bank), row)
            places = index[begin:end, -2], index[begin:end, -1]
            if not np.isnan(cells[places]).all():
                raise CapacityError(f"an operand lies already in row {row} of {self._name(channel, tuple(bank))}")
            cells[places] = flat[begin:end]

    def take(self, at: dict[str, NDArray[np.int64]]) -> Values:
        """Return elements, each at its digits (as in `place`)."""
        arrays = np.broadcast_arrays(*(at[name] for name in (*self.counts, "lane")))
        out = np.empty(arrays[0].shape, np.float32)
        for position in np.ndindex(out.shape):
            channel, *bank, row, column, lane = (int(array[position]) for array in arrays)
            out[position] = self.read(channel, tuple(bank), row, column)[lane]
        return out

    def _row(self, channel: int, bank: Bank, row: int) -> Values:
        key = (channel, bank, row)
        if key not in self._rows:
            self._rows[key] = self._nothing.copy()
        return self._rows[key]

    def _check(self, channel: int, bank: Bank, row: int, column: int) -> None:
        digits = (channel, *bank, row, column)
        for (name, size), digit in zip(self.counts.items(), digits, strict=True):
            if not 0 <= digit < size:
                raise TraceError(f"{name} {digit} lies outside 0 to {size - 1}")

    def _name(self, channel: int, bank: Bank) -> str:
        places = (f"{level} {digit}" for level, digit in zip(self._levels, bank, strict=True))
        return ", ".join((f"channel {channel}", *places))
