"""Programs of HBM3@sieve for one pseudochannel, and their time on the cycle engine.

All pseudochannels of a GPU do the same at the same time, so one is simulated. The program of a matrix is that of sieve.md 5: rows are
opened and the vector is written, all banks multiply column by column, results are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moeram.errors import ConfigError
from moeram.hardware.pim_memory import MatrixCut, PimMemory
from moeram.hardware.program_runs import ProgramMemory, play_program
from moeram.model import MoEModel

STANDARD = "HBM3@sieve"
VECTOR_BUFFER_COLUMNS = 8192 // 32  # of the declaration's unit
_BANKS_OF_GROUP = 4
_DQ_BYTES = 4


class Program:
    """Lines of an instruction trace; rows are numbered as they lie in the banks, one after the other.

    row_buffer: the one that takes all rows; None: they alternate between all that the memory has.
    """

    def __init__(self, memory: PimMemory, row_buffer: int | None = None) -> None:
        self.memory = memory
        self.lines: list[str] = []
        self._row_columns = memory.row_bytes // memory.column_bytes
        self._buffers = 2 if memory.dual_row_buffer and row_buffer is None else 1
        self._first_buffer = row_buffer or 0
        # Multiplications after which the other buffer may close (nRTP) and, closed, open anew (nRP).
        self._to_close = -(-memory.nrtp // memory.nccd_l)
        self._to_open = self._to_close + -(-memory.nrp // memory.nccd_l)

    def matrix(self, cut: MatrixCut, first_row: int = 0) -> int:
        """One vector through one matrix; the row behind its last. A vector longer than its buffer is cut, each part begins a row."""
        parts = -(-cut.vector_columns // VECTOR_BUFFER_COLUMNS)
        for vector, columns in zip(_even(cut.vector_columns, parts), _even(cut.columns, parts), strict=True):
            self.open(first_row)
            self.lines.append(f"PIM WRVEC {vector} 1")
            self.multiply(columns, first_row)
            first_row += -(-columns // self._row_columns)
        self.lines.append(f"PIM RDRES {cut.result_columns} 1")
        return first_row

    def multiply(self, columns: int, first_row: int = 0) -> None:
        """All banks multiply so many columns, the first row being open; all rows are closed at the end."""
        end = first_row + -(-columns // self._row_columns)
        for row in range(first_row, end):
            count = min(self._row_columns, columns - (row - first_row) * self._row_columns)
            if self._buffers == 1:
                self._mac(count, row)
                self._close(row)
                if row + 1 < end:
                    self.open(row + 1)
            else:
                self._mac_while_next_opens(count, row, row > first_row, row + 1 < end)
        if self._buffers == 2:
            self._close(end - 1)

    def end(self) -> str:
        """The text of the trace."""
        return "\n".join([*self.lines, "PIM END", ""])

    def _mac_while_next_opens(self, count: int, row: int, has_previous: bool, has_next: bool) -> None:
        done = 0
        if has_previous:
            done = min(count, self._to_close)
            self._mac(done, row)
            self._close(row - 1)
        if has_next:
            until = min(count, self._to_open) if has_previous else 0
            self._mac(until - done, row)
            done = max(done, until)
            self.open(row + 1)
        self._mac(count - done, row)

    def _place(self, row: int) -> tuple[int, int]:
        buffer = self._first_buffer + row % self._buffers
        return buffer * self.memory.banks_per_pseudochannel, row // self._buffers

    def open(self, row: int) -> None:
        """Open one row in all banks."""
        bank, number = self._place(row)
        self.lines.append(f"PIM OPEN 1 {bank} {number}")

    def _close(self, row: int) -> None:
        self.lines.append(f"PIM CLOSE 1 {self._place(row)[0]}")

    def _mac(self, count: int, row: int) -> None:
        if count > 0:
            bank, number = self._place(row)
            self.lines.append(f"PIM MAC {count} 1 {bank} {number}")


def _even(count: int, parts: int) -> list[int]:
    """Cut a count into parts that differ by one at most."""
    return [count // parts + (part < count % parts) for part in range(parts)]


def expert_program(memory: PimMemory, model: MoEModel, tokens: int, row_buffer: int | None = None) -> str:
    """So many tokens one after the other through one expert; every matrix begins in a row of its own."""
    return matrices_program(memory, memory.phases(model), tokens, row_buffer)


def matrices_program(
    memory: PimMemory, cuts: Sequence[MatrixCut], times: int = 1, row_buffer: int | None = None
) -> str:
    """Matrices that are multiplied one after the other, the whole so many times; row_buffer: see Program."""
    program = Program(memory, row_buffer)
    for _ in range(times):
        row = 0
        for cut in cuts:
            row = program.matrix(cut, row)
    return program.end()


def run_program(memory: PimMemory, trace: str, refresh: bool = True) -> dict[str, Any]:
    """Play a trace on one pseudochannel of the memory: the engine's cycles, statistics and counts of commands.

    Raises:
        ConfigError: a geometry that the standard cannot have.
    """
    return play_program(pseudochannel(memory, refresh), trace)


def pseudochannel(memory: PimMemory, refresh: bool = True) -> ProgramMemory:
    """Return one pseudochannel of the memory for the engine.

    Raises:
        ConfigError: a geometry that the standard cannot have.
    """
    if memory.banks_per_pseudochannel % _BANKS_OF_GROUP:
        raise ConfigError(f"{memory.name}: {STANDARD} opens banks in groups of {_BANKS_OF_GROUP}")
    cycles_per_ns = 1000 / memory.tck_ps
    timing = {
        "preset": "HBM3E_8000Mbps", "nRCD": memory.nrcd, "nRP": memory.nrp, "nCL": memory.ncl, "nCCDS": memory.nccd_s, "nCCDL": memory.nccd_l,
        "nRTP": memory.nrtp, "nBL": memory.nbl, "nRFC": round(memory.refresh_ns * cycles_per_ns),
        "nREFI": round(memory.refresh_interval_ns * cycles_per_ns),
    }  # fmt: skip
    organization = {
        "preset": "HBM3E_dual" if memory.dual_row_buffer else "HBM3E_single",
        "bankgroup": memory.banks_per_pseudochannel // _BANKS_OF_GROUP,
        "column": memory.row_bytes // _DQ_BYTES,
    }
    return ProgramMemory(standard=STANDARD, organization=organization, timing=timing, refresh=refresh)


def token_ps_by_engine(memory: PimMemory, model: MoEModel, tokens: int = 64) -> float:
    """Mean time of one token through one expert, of a chain long enough to meet refreshes (64 tokens: 15 us and more)."""
    return run_program(memory, expert_program(memory, model, tokens))["memory_system_cycles"] * memory.tck_ps / tokens
