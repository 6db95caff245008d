"""A computing memory as its standard's file declares it: levels, instructions, and what its unit does with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from moeram.errors import ConfigError, did_you_mean
from moeram.hardware.cycle import load_core
from moeram.hardware.program_runs import ProgramMemory
from moeram.options import Options, build, load_config
from moeram.options.tree import Tree, overlay

ELEMENT_BYTES = 2
Count = Annotated[int, Field(ge=1)]


class Meaning(Options):
    """What an instruction does; `docs/pim.md` has the words.

    buffer: of the unit. by: levels at which there is one such buffer each, at others it is shared. unit: levels at which there is
    one unit each, of the banks that the command reaches. to: a second buffer. adds: levels over which results are summed.
    source: "accumulators" or "activated". functions: by the value of the register `chosen_by`. factors, product: banks of a group.
    numbered_by: levels whose digits, the first one fastest, number the multiplications of an operand from its first row on, so that
    they may come in any order; without them they are counted. broadcast: what one channel takes goes to the buffers of all.
    """

    does: Literal[
        "nothing", "open", "load", "multiply", "read", "set", "activate", "bank_to_buffer", "buffer_to_bank", "multiply_banks",
        "add_general", "write_general", "read_general", "write_bank", "read_bank", "results_to_buffer", "buffer_to_buffer", "softmax", "set_register", "set_tokens",
        "set_first_row",
    ]  # fmt: skip
    buffer: str | None = None
    to: str | None = None
    by: tuple[str, ...] = ()
    unit: tuple[str, ...] | None = None
    adds: tuple[str, ...] = ()
    source: Literal["accumulators", "activated"] = "accumulators"
    functions: tuple[Literal["silu", "gelu", "sigmoid", "tanh", "relu"], ...] = ()
    chosen_by: int = 0
    factors: tuple[int, int] = (0, 1)
    product: int = 2
    broadcast: bool = False
    numbered_by: tuple[str, ...] = ()


class Usual(Options):
    """Presets and sizes of the memory that a file is written for, taken where none are named."""

    organization: str = ""
    timing: str = ""
    sizes: dict[str, Count] = Field(default_factory=dict)


class Unit(Options):
    """Section `unit` of a standard's file; bytes are of one channel.

    walks: multiplications go through the buffer entry by entry and around, every turn being a new result. accumulators: results
    that a unit holds. accumulator_bytes: 2 (the number format) or 4 (fp32). counts_columns: instructions say how many columns, and
    the next ones of a row go on where the last ended. operand_rows: operands lie below it, where rows from there on
    have a meaning of their own. microcode: of units that run it; the engine's trace reader follows it.
    """

    buffers: dict[str, Count] = Field(default_factory=dict)
    lanes: Count = 1
    access_bytes: Annotated[int, Field(ge=ELEMENT_BYTES)] = 32
    accumulators: Count = 1
    accumulator_bytes: Literal[2, 4] = 2
    walks: bool = False
    counts_columns: bool = False
    operations: dict[str, Meaning] = Field(default_factory=dict)
    usual: Usual = Usual()
    operand_rows: Count | None = None
    microcode: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _buffers_hold_an_access(self) -> Unit:
        for name, size in self.buffers.items():
            if size < self.access_bytes:
                raise ValueError(f"buffers.{name}: {size} bytes do not hold one access of {self.access_bytes}")
        return self


class _Sections(Options):
    unit: Unit


@dataclass(frozen=True, kw_only=True)
class PimDesign:
    """One memory: a standard's file with an organisation and a speed grade.

    counts: digits of every level from channel to column, where a column is one access of the unit.
    """

    standard: str
    organization: str
    timing: str
    sizes: dict[str, int]
    with_faults: bool
    counts: dict[str, int]
    unit: Unit
    sections: Tree
    facts: dict[str, Any]

    @property
    def lanes_per_access(self) -> int:
        """Elements of one access of one bank."""
        return self.unit.access_bytes // ELEMENT_BYTES

    @property
    def bank_levels(self) -> tuple[str, ...]:
        """Levels between channel and row."""
        return tuple(self.counts)[1:-2]

    @cached_property
    def instructions(self) -> dict[str, Any]:
        """Section `instructions`."""
        return self.sections.value["instructions"]

    @property
    def multiplications(self) -> list[str]:
        """Instructions that may multiply what lies in rows: those that say so, and reads that run microcode."""
        if self.unit.microcode:
            known = self.instructions["operations"]
            return [name for name, entry in known.items() if entry.get("reaches_units_by") == "read"]
        return [name for name, one in self.unit.operations.items() if one.does in ("multiply", "multiply_banks")]

    def memory(self, *, refresh: bool = True, checked: bool = False) -> ProgramMemory:
        """Return what the engine plays programs on; checked: without the faults that leave sizes and addresses unchecked."""
        unchecked = [
            name
            for name, fault in self.sections.value.get("faults", {}).items()
            if fault["without"].get("instructions", {}).get("checks_sizes")
        ]
        all_or_none = "all" if self.with_faults else "none"
        return ProgramMemory(
            standard=self.standard,
            organization={"preset": self.organization, **self.sizes},
            timing={"preset": self.timing},
            syntax=self.instructions["syntax"],
            faults=dict.fromkeys(unchecked, False) if checked and self.with_faults and unchecked else all_or_none,
            refresh=refresh,
        )

    def command(self, operation: str) -> str | None:
        """Return the command that an instruction ends in, if it has one."""
        entry = self.instructions["operations"][operation]
        request = entry if isinstance(entry, str) else entry.get("request")
        return None if request is None else self.sections.value["requests"][request]

    def spans(self, operation: str) -> tuple[str, ...]:
        """Return the levels whose banks take part together in an instruction's command."""
        command = self.command(operation)
        return () if command is None else tuple(self.sections.value["commands"][command].get("spans", ()))


def load_design(
    standard: str,
    *,
    organization: str = "",
    timing: str = "",
    sizes: dict[str, int] | None = None,
    with_faults: bool = True,
) -> PimDesign:
    """Read a computing memory by the name of its standard ("GDDR6@aim") or the path of its file.

    Args:
        organization, timing: presets; by default the usual ones of the unit, or the file's first. sizes: levels of the organisation to replace.
        with_faults: the edition as its simulator has it; otherwise `faults: none`.

    Raises:
        ConfigError: no such standard or preset, or a file without instructions or a unit.
    """
    tree = load_config("standards", standard)
    if not isinstance(tree.value, dict):
        raise ConfigError(f"{standard}: a map of keys is expected")
    for name in ("instructions", "unit"):
        if name not in tree.value:
            raise ConfigError(f"{standard}: has no section {name!r}; a memory that computes has one")
    if not with_faults:
        for fault in tree.value.get("faults", {}).values():
            tree = overlay(tree, Tree(value={"instructions": fault["without"].get("instructions", {})}, origins={}))
    unit = build(_Sections, Tree(value={"unit": tree.value["unit"]}, origins=tree.origins)).unit
    organization = organization or unit.usual.organization or _first(tree, "organization")
    timing = timing or unit.usual.timing or _first(tree, "timing")
    sizes = unit.usual.sizes | (sizes or {})
    facts = load_core().resolve(standard, organization=organization, timing=timing, sizes=sizes)
    counts = dict(zip(facts["levels"], facts["counts"], strict=True))
    if tree.value["instructions"]["syntax"] != "operation_address":  # whose mapper counts columns in accesses
        counts["column"] = facts["row_bytes"] // unit.access_bytes
    design = PimDesign(
        standard=standard,
        organization=organization,
        timing=timing,
        sizes=sizes,
        with_faults=with_faults,
        counts=counts,
        unit=unit,
        sections=tree,
        facts=facts,
    )
    _check_operations(design)
    return design


def _first(tree: Tree, section: str) -> str:
    return next(iter(tree.value[section]["presets"]))


def _check_operations(design: PimDesign) -> None:
    known = design.instructions["operations"]
    for name, meaning in design.unit.operations.items():
        where = f"{design.sections.origin(('unit', 'operations', name))}: unit.operations.{name}"
        if name not in known:
            raise ConfigError(f"{where}: no instruction has that name{did_you_mean(name, known)}")
        for buffer in (meaning.buffer, meaning.to):
            if buffer is not None and buffer not in design.unit.buffers:
                raise ConfigError(f"{where}: buffer {buffer!r} is unknown{did_you_mean(buffer, design.unit.buffers)}")
        named = (*meaning.by, *(meaning.unit or ()), *meaning.adds)
        for level in (*named, *(set(meaning.numbered_by) - {"column", "row"})):
            if level not in design.bank_levels:
                raise ConfigError(f"{where}: level {level!r} is unknown{did_you_mean(level, design.bank_levels)}")
        if meaning.does in _WITH_BUFFER and meaning.buffer is None:
            raise ConfigError(f"{where}: {meaning.does} needs a buffer")


_WITH_BUFFER = {"load", "multiply", "bank_to_buffer", "buffer_to_bank", "results_to_buffer", "buffer_to_buffer", "softmax"}
