"""Kernels of Samsung's HBM-PIM as programs of HBM2@hbm-pim for one pseudochannel (docs/pim.md).

All pseudochannels do the same at the same time, so one is simulated. Operands lie in all banks alike: unit k of a pseudochannel owns
an even and an odd bank; a column is 16 halves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from moeram.errors import CapacityError, ConfigError
from moeram.hardware.program_runs import LoweredCommand, ProgramMemory, lower_program, play_program

STANDARD = "HBM2@hbm-pim"
LANES, UNITS, REGISTERS = 16, 8, 8
ROW_COLUMNS = 32
TILE = REGISTERS  # columns between two changes of the operand
GROUP_INPUTS = LANES * REGISTERS  # inputs that the registers hold at once
EVEN, ODD = 0, 1
_BANKS, _GROUPS = 16, 4
SILENT_ROW = _PARK = 0x1000  # rows from here on have a meaning: none but the rows below takes operands
_TO_ALL, _TO_ONE, _REGISTERS = 0x17FF, 0x1FFF, 0x3FFF
_FIRST_INPUT = 8  # column of GRF_A in the register row
_MEMORY = ProgramMemory(standard=STANDARD, organization={"preset": "HBM2_PIM"}, timing={"preset": "HBM2_2000Mbps"})


@dataclass(frozen=True, kw_only=True)
class GemvShape:
    """A matrix times a vector on so many pseudochannels; each makes its own outputs."""

    outputs: int
    inputs: int
    pseudochannels: int = 64

    def __post_init__(self) -> None:
        step = self.pseudochannels * UNITS * REGISTERS
        if self.outputs < 1 or self.outputs % step or self.inputs < 1 or self.inputs % GROUP_INPUTS:
            raise ConfigError(
                f"GEMV {self.outputs} x {self.inputs} on {self.pseudochannels} pseudochannels: outputs come in "
                f"multiples of {step}, inputs of {GROUP_INPUTS}"
            )

    @property
    def output_tiles(self) -> int:
        """Passes over the vector: one makes eight outputs in each unit."""
        return self.outputs // (self.pseudochannels * UNITS * REGISTERS)

    @property
    def input_tiles(self) -> tuple[int, int]:
        """Groups of 128 inputs whose weights lie in even and in odd banks; they take turns."""
        tiles = self.inputs // GROUP_INPUTS
        return tiles - tiles // 2, tiles // 2

    @property
    def columns(self) -> int:
        """Multiplications of a pseudochannel: columns of weights, each of 16 inputs of one output in every unit."""
        return self.output_tiles * sum(self.input_tiles) * REGISTERS * TILE

    def weight_place(self, output_tile: int, input_tile: int) -> tuple[int, int]:
        """Bank of the unit and first of the two rows with a tile's weights."""
        parity = input_tile % 2
        return parity, 2 * (output_tile * self.input_tiles[parity] + input_tile // 2)

    def result_place(self, output_tile: int) -> tuple[int, int]:
        """Row and first column, in odd banks, of a tile's partial sums: one column of 16 lanes for each output."""
        row = 2 * self.output_tiles * self.input_tiles[EVEN] + output_tile // (ROW_COLUMNS // TILE)
        if row >= _PARK:
            raise CapacityError(
                f"GEMV {self.outputs} x {self.inputs} needs {row} rows of a bank; {_PARK} lie below those with a meaning"
            )
        return row, output_tile % (ROW_COLUMNS // TILE) * TILE


class Program:
    """Lines of an instruction trace; `writes`: which of them (from 1) take data from the host, and what the caller calls these."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.writes: dict[int, Any] = {}

    def enter(self, microcode: list[str]) -> None:
        """Park all banks, let all listen, and load a program of at most 32 instructions."""
        self._park()
        self.lines += [f"MEM RD 1 1 {bank} {_TO_ALL:#x} {ROW_COLUMNS - 1}" for bank in (0, 1, 8, 9)]
        for slot in range(0, len(microcode), 8):
            self.lines.append(f"PIM CRF 1 {4 + slot // 8} {'; '.join(microcode[slot : slot + 8])}")

    def leave(self) -> None:
        """Back to ordinary memory, all banks parked."""
        self.lines += [f"PIM WR 1 1 {bank} {_TO_ONE:#x} 0" for bank in (EVEN, ODD)]
        self.lines += [f"PIM CLOSE 1 {bank} {_TO_ONE:#x}" for bank in (EVEN, ODD)]
        self._park()

    def start(self, *words: str) -> None:
        """From here on column commands run the program."""
        self.lines.append(" ".join(["PIM SET 1 on", *words]))

    def stop(self) -> None:
        """Column commands no longer run the program."""
        self.lines.append("PIM SET 1 off")

    def read(self, bank: int, row: int, column: int = 0, count: int = TILE) -> None:
        """Columns of all even or odd banks."""
        self.lines.append(f"PIM RD {count} 1 {bank} {row} {column}")

    def write(self, bank: int, row: int, column: int = 0, count: int = TILE) -> None:
        """The same for writing."""
        self.lines.append(f"PIM WR {count} 1 {bank} {row} {column}")

    def write_inputs(self, name: Any) -> None:
        """Eight columns of the host's into the input registers of all units."""
        self.write(EVEN, _REGISTERS, _FIRST_INPUT)
        self.writes[len(self.lines)] = name

    def end(self) -> str:
        """The text of the trace."""
        return "\n".join([*self.lines, "PIM END", ""])

    def _park(self) -> None:
        self.lines += [f"MEM RD 1 1 {bank} {_PARK:#x} 0" for bank in range(_BANKS)]


def gemv(shape: GemvShape) -> Program:
    """Matrix times vector, weights in place; 16 partial sums of each output are left in odd banks for the host to add."""
    program = Program()
    microcode = []
    for bank, tiles in zip(("EVEN_BANK", "ODD_BANK"), shape.input_tiles, strict=True):
        if tiles:
            microcode += [f"MAC GRF_B GRF_A {bank} AUTO", f"JUMP 1 {tiles * REGISTERS - 1}"]
    program.enter([*microcode, "NOP 7", "EXIT"])
    tiles_in_order = sorted(range(sum(shape.input_tiles)), key=lambda tile: tile % 2)  # even banks first
    for output_tile in range(shape.output_tiles):
        program.start("zero_b")
        for tile in tiles_in_order:
            program.write_inputs(tile)
            bank, row = shape.weight_place(output_tile, tile)
            for half in range(2):
                program.read(bank, row + half, 0, ROW_COLUMNS)
        program.write(ODD, *shape.result_place(output_tile))
        program.stop()
    program.leave()
    return program


def element_tiles(elements: int, pseudochannels: int) -> int:
    """Tiles of eight columns in each bank.

    Raises:
        ConfigError: elements that do not fill them.
    """
    step = pseudochannels * _BANKS * LANES * TILE
    if elements < 1 or elements % step:
        raise ConfigError(f"{elements} elements on {pseudochannels} pseudochannels: they come in multiples of {step}")
    return elements // step


def tile_place(first_row: int, tile: int) -> tuple[int, int]:
    """Row and first column of a tile of a vector that begins in a row."""
    return first_row + tile // (ROW_COLUMNS // TILE), tile % (ROW_COLUMNS // TILE) * TILE


def vector_rows(elements: int, pseudochannels: int = 64) -> int:
    """Rows of every bank that a vector takes."""
    return -(-element_tiles(elements, pseudochannels) * TILE // ROW_COLUMNS)


def elementwise(operation: str, elements: int, pseudochannels: int = 64) -> Program:
    """ADD or MUL of two vectors, or ReLU of one: operands and result one after the other from row 0 of all banks."""
    if operation not in ("ADD", "MUL", "RELU"):
        raise ConfigError(f"operation {operation!r}; allowed: ADD, MUL, RELU")
    tiles, rows = element_tiles(elements, pseudochannels), vector_rows(elements, pseudochannels)
    operands = 1 if operation == "RELU" else 2
    if (operands + 1) * rows > _PARK:
        raise CapacityError(
            f"{operation} of {elements} elements needs {(operands + 1) * rows} rows of a bank; {_PARK} lie below those with a meaning"
        )
    program = Program()
    microcode = []
    for bank, registers in (("EVEN_BANK", "GRF_A"), ("ODD_BANK", "GRF_B")):
        microcode.append(f"FILL {registers} {bank}" + (" RELU" if operation == "RELU" else ""))
        if operands == 2:
            microcode.append(f"{operation} {registers} {registers} {bank} AUTO")
        microcode.append("NOP 7")
    jump = [f"JUMP {len(microcode)} {tiles - 1}"] if tiles > 1 else []
    program.enter([*microcode, *jump, "EXIT"])
    program.start()
    for tile in range(tiles):
        for bank in (EVEN, ODD):
            for operand in range(operands):
                program.read(bank, *tile_place(operand * rows, tile))
            program.write(bank, *tile_place(operands * rows, tile))
    program.stop()
    program.leave()
    return program


def host_stream(reads: int, writes: int = 0) -> Program:
    """What the host does without units: so many columns read, then so many written, neighbours in different bank groups."""
    program = Program()
    places = _host_places()
    program.lines += [f"MEM RD 1 1 {next(places)}" for _ in range(reads)]
    program.lines += [f"MEM WR 1 1 {next(places)}" for _ in range(writes)]
    return program


def _host_places() -> Iterator[str]:
    row = 0
    while True:
        for bank in range(_BANKS // _GROUPS):
            for column in range(ROW_COLUMNS):
                for group in range(_GROUPS):
                    yield f"{group * (_BANKS // _GROUPS) + bank} {row} {column}"
        row += 1


def run(program: Program, refresh: bool = True) -> dict[str, Any]:
    """Play a program on one pseudochannel of 2 Gb/s: cycles of 1 ns, statistics and counts of commands."""
    return play_program(replace(_MEMORY, refresh=refresh), program.end())


def lower(program: Program) -> list[LoweredCommand]:
    """Every column command of a program and what it makes the units do."""
    return lower_program(_MEMORY, program.end())
