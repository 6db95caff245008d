"""Rows that change places between two placements, and what moving them costs (stratum.md 3.4, U22).

Every bank of every chip moves the same rows at the same time; nothing leaves a bank. Chains that end in a free row and closed cycles are
followed one after the other, so that each moved row is read once and written once through a buffer of two rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moeram.errors import ConfigError
from moeram.hardware.cycle import chip_configuration, load_core
from moeram.hardware.spec import System

BITS_PER_BYTE = 8


@dataclass(frozen=True, kw_only=True)
class RowMoves:
    """Operations in order: row [2 x moved], write [2 x moved] (False: read)..

    chains: those that end in a row that is free. cycles: closed ones, which need the second row of the buffer.
    """

    row: NDArray[np.int32]
    write: NDArray[np.bool_]
    chains: int
    cycles: int

    @property
    def moved(self) -> int:
        """Rows of each bank whose place changes."""
        return len(self.row) // 2


@dataclass(frozen=True, kw_only=True)
class RowSwap:
    """What a change of placement costs.

    moved_experts, moved_rows: of each bank. time_ps: all banks at once, by the cycle engine, closing of the last row not counted. rows_read,
    rows_written: int64 [tiers], of each bank. energy_pj: all banks of all chips. energy_one_bank_pj: one bank, which
    the published figure seems to be (stratum.md 3.5).
    """

    moved_experts: int
    moved_rows: int
    time_ps: int
    rows_read: NDArray[np.int64]
    rows_written: NDArray[np.int64]
    energy_pj: float
    energy_one_bank_pj: float


def row_moves(old: NDArray[np.integer], new: NDArray[np.integer], rows_per_expert: int) -> RowMoves:
    """Return the operations that bring every expert from its old rows to its new ones.

    Args:
        old, new: first rows of the same experts, any shape; each holds rows_per_expert rows.

    Raises:
        ConfigError: shapes differ, or two experts share a row.
    """
    if old.shape != new.shape or rows_per_expert < 1:
        raise ConfigError(f"row swap: placements of {old.shape} and {new.shape} experts of {rows_per_expert} rows")
    within = np.arange(rows_per_expert)
    source, target = ((np.asarray(first, dtype=np.int64).ravel()[:, None] + within).ravel() for first in (old, new))
    for name, rows in (("old", source), ("new", target)):
        if len(np.unique(rows)) < len(rows):
            raise ConfigError(f"row swap: two experts share a row of the {name} placement")
    moves = source != target
    comes_from = dict(zip(target[moves].tolist(), source[moves].tolist(), strict=True))
    leaves = set(comes_from.values())
    operations: list[tuple[int, bool]] = []
    free = [row for row in comes_from if row not in leaves]
    for row in free:
        while (came := comes_from.pop(row, None)) is not None:
            operations += [(came, False), (row, True)]
            row = came
    cycles = 0
    while comes_from:
        cycles += 1
        row = start = next(iter(comes_from))
        operations.append((start, False))  # waits in the second row of the buffer
        while (came := comes_from.pop(row)) != start:
            operations += [(came, False), (row, True)]
            row = came
        operations.append((row, True))
    table = np.array(operations, dtype=np.int64).reshape(-1, 2)
    return RowMoves(row=table[:, 0].astype(np.int32), write=table[:, 1].astype(bool), chains=len(free), cycles=cycles)


def row_swap(old: NDArray[np.integer], new: NDArray[np.integer], rows_per_expert: int, system: System) -> RowSwap:
    """Return the cost of going from one placement to another, its row cycles simulated with the tiers of the rows.

    Args:
        old, new: as in `row_moves`; shared experts included if they may move.

    Raises:
        ConfigError, CapacityError: the placements do not fit each other or the rows of a bank.
    """
    moves = row_moves(old, new, rows_per_expert)
    answer = run_rows(moves.row, moves.write, system)
    bits = 2 * moves.moved * system.device.row_bytes * BITS_PER_BYTE
    energy = bits * system.energy.dram_to_logic_pj_per_bit
    return RowSwap(
        moved_experts=int(np.count_nonzero(np.asarray(old) != np.asarray(new))),
        moved_rows=moves.moved,
        time_ps=int(answer["time_ps"]),
        rows_read=answer["rows_read"],
        rows_written=answer["rows_written"],
        energy_pj=energy * system.banks,
        energy_one_bank_pj=energy,
    )


def run_rows(row: NDArray[np.int32], write: NDArray[np.bool_], system: System) -> dict[str, Any]:
    """Read and write whole rows one after the other, in all banks at once, by the cycle engine.

    Args:
        row, write: row numbers [n] in order, and whether each is written.

    Returns:
        time_ps, the closing of the last row not counted; rows_read, rows_written: int64 [tiers], of each bank.

    Raises:
        CapacityError: a row lies outside a bank.
    """
    core = load_core()
    return core.run_rows(core.NmpConfig(**chip_configuration(system)), row, write)
