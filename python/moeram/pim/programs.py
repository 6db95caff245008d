"""Programs by declaration: the section `programs` of a standard's file says which instructions a kernel becomes.

docs/pim.md has the language: a loop nest over declared instructions, where the operands lie, what the host sends and gets.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from moeram.errors import ConfigError, did_you_mean
from moeram.options import Options, build
from moeram.options.tree import Tree
from moeram.pim.design import PimDesign

Expression = str | int
ZERO = "zero"  # an operand that every program has


class Placement(Options):
    """Where an operand lies in the rows: `index` names its indices, each below the `padded` size; `at` gives the digits of an element.

    Elements beyond the operand's own shape are zeros. Digits that are left out are 0. rows: how many of the program's rows it takes
    from first_row on.
    """

    shape: tuple[str, ...]
    index: tuple[str, ...]
    padded: tuple[Expression, ...]
    let: dict[str, Expression] = Field(default_factory=dict)
    at: dict[str, Expression]
    rows: Expression

    @model_validator(mode="after")
    def _one_size_an_index(self) -> Placement:
        if not len(self.shape) == len(self.index) == len(self.padded):
            raise ValueError("shape, index and padded are of one length")
        return self


class Step(Options):
    """A loop (`loop`, `times`, `steps`) or an instruction (`run`, `fields`, and what it takes from and gives to the host)."""

    loop: str | None = None
    times: Expression = 1
    let: dict[str, Expression] = Field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    run: str | None = None
    fields: dict[str, Expression | tuple[Expression, ...]] = Field(default_factory=dict)
    takes: dict[str, tuple[Expression, ...]] = Field(default_factory=dict)
    gives: dict[str, tuple[Expression, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _loop_or_instruction(self) -> Step:
        if (self.run is None) == (not self.steps):
            raise ValueError("a step has either `run`, an instruction, or `steps`")
        if self.run is not None and (self.loop is not None or self.times != 1 or self.let):
            raise ValueError("an instruction is no loop; put it into the `steps` of one")
        if len(self.takes) > 1 or len(self.gives) > 1:
            raise ValueError("an instruction takes one operand and gives to one")
        return self


class Program(Options):
    """How one kernel is lowered. shape: its sizes; a number is a default. operands: what the host holds. results: what it gets.

    computes: what to hold the results against (`reference`). work: multiplications of the kernel. left_in_rows: those of `placed` that
    are results. needs: what must hold of the sizes, such as `parts <= channel`.
    """

    shape: dict[str, int | None]
    needs: tuple[Expression, ...] = ()
    let: dict[str, Expression] = Field(default_factory=dict)
    operands: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    results: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    placed: dict[str, Placement] = Field(default_factory=dict)
    left_in_rows: tuple[str, ...] = ()
    computes: Literal[
        "matrix_product", "activated_product", "elements_product", "elements_sum", "relu", "copy", "attention_score", "attention_value",
        "attention",
    ] | None = None  # fmt: skip
    work: Expression | None = None
    steps: tuple[Step, ...]


class _Programs(Options):
    programs: dict[str, Program] = Field(default_factory=dict)


def load_programs(design: PimDesign) -> dict[str, Program]:
    """Return the programs that a design declares, by kernel.

    Raises:
        ConfigError: all complaints about the section, with file and line.
    """
    found = {"programs": design.sections.value.get("programs", {})}
    programs = build(_Programs, Tree(value=found, origins=design.sections.origins)).programs
    for name, program in programs.items():
        _check(design, name, program)
    return programs


def _check(design: PimDesign, name: str, program: Program) -> None:
    where = f"{design.sections.origin(('programs', name))}: programs.{name}"
    for placed in program.left_in_rows:
        if placed not in program.placed:
            raise ConfigError(f"{where}.left_in_rows: {placed!r} is not placed{did_you_mean(placed, program.placed)}")
    for operand, placement in program.placed.items():
        levels = (*design.counts, "lane")
        for level in placement.at:
            if level not in levels:
                raise ConfigError(f"{where}.placed.{operand}.at: level {level!r} is unknown{did_you_mean(level, levels)}")
    for sizes in (*program.operands.values(), *program.results.values(), *(item.shape for item in program.placed.values())):
        for size in sizes:
            if size not in program.shape:
                raise ConfigError(f"{where}: size {size!r} is not in shape{did_you_mean(size, program.shape)}")
    _check_steps(design, where, program, program.steps)


def _check_steps(design: PimDesign, where: str, program: Program, steps: tuple[Step, ...]) -> None:
    known: dict[str, Any] = design.instructions["operations"]
    for step in steps:
        _check_steps(design, where, program, step.steps)
        if step.run is None:
            continue
        if step.run not in known:
            raise ConfigError(f"{where}.steps: no instruction {step.run!r}{did_you_mean(step.run, known)}")
        entry = known[step.run]
        fields = tuple(design.counts) if isinstance(entry, str) else tuple(entry["fields"])
        for field in step.fields:
            if field not in fields:
                raise ConfigError(f"{where}.steps: {step.run} has no field {field!r}{did_you_mean(field, fields)}")
        missing = [] if isinstance(entry, str) else [field for field in fields if field not in step.fields]
        if missing:
            raise ConfigError(f"{where}.steps: {step.run} lacks {', '.join(missing)}")
        for given, known_here in ((step.takes, program.operands | {ZERO: ()}), (step.gives, program.results)):
            for name, index in given.items():
                if name not in known_here:
                    raise ConfigError(f"{where}.steps: {step.run}: {name!r} is unknown{did_you_mean(name, known_here)}")
                if len(index) != len(known_here[name]):
                    raise ConfigError(f"{where}.steps: {step.run}: {name} has {len(known_here[name])} indices")
