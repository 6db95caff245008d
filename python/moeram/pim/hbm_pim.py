"""Kernels of Samsung's HBM-PIM as programs of HBM2@hbm-pim for one pseudochannel (docs/pim.md).

All pseudochannels do the same at the same time, so one is simulated. Operands lie in all banks alike: unit k of a pseudochannel owns
an even and an odd bank; a column is 16 halves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

from moeram.errors import ConfigError
from moeram.hardware.program_runs import LoweredCommand, ProgramMemory, lower_program, play_program
from moeram.pim.design import PimDesign, load_design
from moeram.pim.kernels import lower_kernel

STANDARD = "HBM2@hbm-pim"
LANES, UNITS, REGISTERS = 16, 8, 8
ROW_COLUMNS = 32
EVEN, ODD = 0, 1
_BANKS, _GROUPS = 16, 4
SILENT_ROW = _PARK = 0x1000  # rows with this bit run nothing; operands lie below it
_TO_ALL, _TO_ONE, _REGISTERS = 0x17FF, 0x1FFF, 0x3FFF
_FIRST_INPUT = 8  # column of GRF_A in the register row
_MEMORY = ProgramMemory(standard=STANDARD, organization={"preset": "HBM2_PIM"}, timing={"preset": "HBM2_2000Mbps"})


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

    def read(self, bank: int, row: int, column: int = 0, count: int = REGISTERS) -> None:
        """Columns of all even or odd banks."""
        self.lines.append(f"PIM RD {count} 1 {bank} {row} {column}")

    def write(self, bank: int, row: int, column: int = 0, count: int = REGISTERS) -> None:
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


def gemv(outputs: int, inputs: int, pseudochannels: int = 64) -> Program:
    """Matrix times vector, weights in place; 16 partial sums of each output are left in odd banks, for the host to read and add.

    Raises:
        ConfigError: sizes that leave registers of a unit empty. CapacityError: more rows than lie below those with a meaning.
    """
    step = pseudochannels * UNITS * REGISTERS
    if outputs < 1 or outputs % step or inputs < 1 or inputs % (LANES * REGISTERS):
        raise ConfigError(
            f"GEMV {outputs} x {inputs} on {pseudochannels} pseudochannels: outputs come in multiples of {step}, "
            f"inputs of {LANES * REGISTERS}"
        )
    return _declared("gemv", {"outputs": outputs // pseudochannels, "inputs": inputs})


def elementwise(operation: str, elements: int, pseudochannels: int = 64) -> Program:
    """ADD or MUL of two vectors, or ReLU of one: operands and result one after the other from row 0 of all banks.

    Raises:
        ConfigError: another operation, elements that leave columns empty. CapacityError: as `gemv`.
    """
    kernels = {"ADD": "add", "MUL": "multiply", "RELU": "relu"}
    if operation not in kernels:
        raise ConfigError(f"operation {operation!r}; allowed: {', '.join(kernels)}")
    step = pseudochannels * _BANKS * LANES * REGISTERS
    if elements < 1 or elements % step:
        raise ConfigError(f"{elements} elements on {pseudochannels} pseudochannels: they come in multiples of {step}")
    return _declared(kernels[operation], {"length": elements // pseudochannels})


@lru_cache(maxsize=1)
def _design() -> PimDesign:
    return load_design(STANDARD)


def _declared(name: str, shape: dict[str, int]) -> Program:
    """A kernel as the standard's file has it, without the host's reading of results."""
    kernel = lower_kernel(_design(), name, shape)
    program = Program()
    program.lines = [line for number, line in enumerate(kernel.lines) if number not in kernel.gives]
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
