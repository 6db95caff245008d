"""PIM programs, one command or instruction a line: those of the AttAcc and of the AiM simulator, read and written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from moeram.errors import TraceError, did_you_mean
from moeram.export.lines import MOST_REQUESTS, read_lines, unsigned

# attacc_pim.md, section 5: each with one address.
ATTACC_OPERATIONS = (
    "LD", "ST", "PIM_MAC_AB", "PIM_MAC_SB", "PIM_MAC_PB", "PIM_WR_GB", "PIM_MV_SB", "PIM_MV_GB", "PIM_SFM",
    "PIM_SET_MODEL", "PIM_SET_HEAD", "PIM_BARRIER",
)  # fmt: skip

# aim_gddr6.md, section 2: fields in the order of the line.
AIM_INSTRUCTIONS: dict[str, tuple[str, ...]] = {
    "AiM WR_SBK": ("gpr", "mask", "bank", "row"),
    "AiM RD_SBK": ("gpr", "mask", "bank", "row"),
    "AiM WR_ABK": ("gpr", "mask", "row"),
    "AiM WR_GB": ("opsize", "gpr", "mask"),
    "AiM WR_BIAS": ("gpr", "mask"),
    "AiM RD_MAC": ("gpr", "mask"),
    "AiM RD_AF": ("gpr", "mask"),
    "AiM COPY_BKGB": ("opsize", "mask", "bank", "row"),
    "AiM COPY_GBBK": ("opsize", "mask", "bank", "row"),
    "AiM MAC_SBK": ("opsize", "mask", "bank", "row"),
    "AiM MAC_ABK": ("opsize", "mask", "row"),
    "AiM AF": ("mask",),
    "AiM EWMUL": ("opsize", "mask", "row"),
    "AiM EWADD": ("opsize", "gpr0", "gpr1"),
    "AiM SYNC": (),
    "AiM EOC": (),
    "R MEM": ("channel", "bank", "row"),
    "W MEM": ("channel", "bank", "row"),
    "R GPR": ("gpr",),
    "W GPR": ("gpr",),
    "W CFR": ("id", "data"),
}
_BELOW = {"mask": 1 << 32, "bank": 16, "row": 1 << 14, "channel": 32, "id": 3}


@dataclass(frozen=True)
class PimCommand:
    """One line: its operation ("PIM_MAC_AB", "AiM MAC_ABK") and its operands in order."""

    operation: str
    operands: tuple[int, ...]


@dataclass(frozen=True)
class PimProgram:
    """A program of one set: "attacc" or "aim"."""

    set: str
    commands: tuple[PimCommand, ...]
    origin: str


def read_pim(path: Path, set_name: str) -> PimProgram:
    """Read a program in the syntax of its simulator.

    Raises:
        TraceError: names file, line and what is expected there.
    """
    parse = {"attacc": _attacc, "aim": _aim}[set_name]
    commands: list[PimCommand] = []
    for number, text in read_lines(path):
        command = parse(text, f"{path}:{number}")
        if command is not None:
            commands.append(command)
        if len(commands) > MOST_REQUESTS:
            raise TraceError(f"{path}: more than {MOST_REQUESTS:,} commands")
    if set_name == "aim" and (not commands or commands[-1].operation != "AiM EOC"):
        raise TraceError(f"{path}: does not end with 'AiM EOC'")
    return PimProgram(set_name, tuple(commands), str(path))


def _attacc(text: str, place: str) -> PimCommand:
    parts = text.split(" ")
    if parts[0] not in ATTACC_OPERATIONS:
        raise TraceError(f"{place}: unknown operation {parts[0][:32]!r}{did_you_mean(parts[0][:32], ATTACC_OPERATIONS)}")
    address = unsigned(parts[1]) if len(parts) == 2 else None
    if address is None:
        raise TraceError(f"{place}: {text[:64]!r}; a line is 'OPERATION ADDRESS', the address decimal or 0x hexadecimal")
    return PimCommand(parts[0], (address,))


def _aim(text: str, place: str) -> PimCommand | None:
    parts = text.split()
    if not parts or parts[0].startswith("#"):
        return None
    name = " ".join((parts[0], parts[1].removeprefix("ISR_"))) if len(parts) > 1 else parts[0]
    if name not in AIM_INSTRUCTIONS:
        raise TraceError(f"{place}: unknown instruction {name[:32]!r}{did_you_mean(name[:32], AIM_INSTRUCTIONS)}")
    fields = AIM_INSTRUCTIONS[name]
    if len(parts) - 2 != len(fields):
        raise TraceError(f"{place}: {name} takes {len(fields)} operands ({' '.join(fields)}), found {len(parts) - 2}")
    operands = []
    for field, word in zip(fields, parts[2:], strict=True):
        value = unsigned(word)
        if value is None or value >= _BELOW.get(field, 1 << 62):
            most = f", below {_BELOW[field]}" if field in _BELOW else ""
            raise TraceError(f"{place}: {field} of {name} is {word[:32]!r}; a number is expected{most}")
        operands.append(value)
    return PimCommand(name, tuple(operands))


def pim_lines(program: PimProgram) -> Iterator[str]:
    """Lines in the syntax of the program's own simulator; masks and addresses in hexadecimal."""
    for command in program.commands:
        fields = AIM_INSTRUCTIONS[command.operation] if program.set == "aim" else ("address",)
        words = [f"{value:#x}" if field in ("mask", "address") else str(value) for field, value in zip(fields, command.operands, strict=True)]
        yield " ".join((command.operation, *words)) + "\n"
