"""`moeram pim`: kernels of computing memories, lowered by the programs in their files, timed and checked on values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from moeram import pim
from moeram.cli.terminal import output
from moeram.errors import ConfigError
from moeram.files import check_target, whole_file
from moeram.pim.engine import ProgramTimes, peak_cycles, time_program
from moeram.pim.numbers import number_format

app = typer.Typer(no_args_is_help=True, help="Kernels on memories that compute.")

Standard = Annotated[str, typer.Argument(metavar="STANDARD", help="Such as GDDR6@aim, or a data file.")]
KernelName = Annotated[str, typer.Argument(metavar="KERNEL", help="A program of the file; see `moeram pim kernels`.")]
Sizes = Annotated[
    list[str] | None,
    typer.Option("-p", "--parameter", metavar="NAME=NUMBER", help="A size of the kernel, or org.NAME; may be repeated."),
]
Org = Annotated[str, typer.Option("--org", help="Organisation preset. [the file's usual one]")]
Timing = Annotated[str, typer.Option("--timing", help="Timing preset. [the file's usual one]")]
Faults = Annotated[bool, typer.Option("--faults/--no-faults", help="The edition as its simulator has it, or corrected.")]


@app.callback()
def main_options() -> None:
    """Kernels on memories that compute."""


@app.command()
def kernels(standard: Standard) -> None:
    """List the kernels that a memory's file has programs for, with their sizes."""
    programs = pim.load_programs(pim.load_design(standard))
    if not programs:
        raise ConfigError(f"{standard}: declares no programs")
    for name, program in programs.items():
        sizes = " ".join(f"{size}" if default is None else f"[{size}={default}]" for size, default in program.shape.items())
        typer.echo(f"{name:<16} {sizes:<40} {(program.computes or '').replace('_', ' ')}")


@app.command()
def lower(
    standard: Standard,
    kernel: KernelName,
    target: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="File to write.")],
    parameter: Sizes = None,
    org: Org = "",
    timing: Timing = "",
    faults: Faults = True,
) -> None:
    """Write the program of a kernel in the syntax of its trace."""
    check_target(target)
    text = _kernel(standard, kernel, parameter, org, timing, faults).text()
    with whole_file(target) as partial:
        partial.write_text(text, encoding="ascii")


@app.command()
def run(
    standard: Standard,
    kernel: KernelName,
    parameter: Sizes = None,
    org: Org = "",
    timing: Timing = "",
    faults: Faults = True,
    refresh: Annotated[bool, typer.Option("--refresh/--no-refresh", help="Whether rows are refreshed.")] = True,
    values: Annotated[
        str, typer.Option("--values", metavar="FORMAT", help="Run on random fp16 or bf16 values too; small kernels.")
    ] = "",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the values.")] = 0,
) -> None:
    """Lower a kernel, time it on the cycle engine, and say where time and energy go; exit code 1 where values are wrong."""
    if values:
        number_format(values)
    lowered = _kernel(standard, kernel, parameter, org, timing, faults)
    times = time_program(lowered.design, lowered.text(), refresh=refresh)
    for warning in times.warnings:
        typer.echo(f"warning: {warning}", err=True)
    _show(lowered, times)
    if values and not _values_are_right(lowered, values, seed):
        raise typer.Exit(1)


def _kernel(
    standard: str, kernel: str, parameter: list[str] | None, org: str, timing: str, faults: bool
) -> pim.Kernel:
    shape: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for text in parameter or []:
        name, equals, value = text.partition("=")
        if not equals or not value.strip().isdecimal():
            raise ConfigError(f"-p {text}: NAME=NUMBER is expected")
        (sizes if name.startswith("org.") else shape)[name.removeprefix("org.")] = int(value)
    design = pim.load_design(standard, organization=org, timing=timing, sizes=sizes, with_faults=faults)
    return pim.lower_kernel(design, kernel, shape)


def _show(kernel: pim.Kernel, times: ProgramTimes) -> None:
    console = output()
    console.print(
        f"{kernel.design.standard} {kernel.name}: {len(kernel.lines)} lines, {times.cycles} cycles of {times.tck_ps} ps, "
        f"{times.time_ns / 1000:.3f} us"
    )
    if kernel.work is not None:
        peak = peak_cycles(kernel, times)
        console.print(f"the units alone: {peak:.0f} cycles at their peak, {peak / times.cycles:.1%} of the time")
    energy = times.energy_nj
    table = Table("command", "number", "energy nJ", "share")
    for column in table.columns[1:]:
        column.justify = "right"
    total = sum(energy.values())
    for name in (*times.total_commands, "background"):
        nj = energy.get(name)
        figures = ("", "") if nj is None else (f"{nj:.1f}", f"{nj / total:.1%}")
        table.add_row(name, str(times.total_commands.get(name, "")), *figures)
    table.add_row("all", str(sum(times.total_commands.values())), f"{total:.1f}" if energy else "", "")
    console.print(table)


def _values_are_right(kernel: pim.Kernel, number: str, seed: int) -> bool:
    checks = pim.check_kernel(kernel, number=number, seed=seed)
    for check in checks:
        verdict = "within" if check.passed else "BEYOND"
        typer.echo(f"{check.result}: {verdict} rounding of {number}; largest error {check.largest_share:.3f} of its bound")
    return all(check.passed for check in checks)
