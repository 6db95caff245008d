"""`moeram check`: the engine and what it writes against references, rules and closed forms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from moeram import check
from moeram.errors import ConfigError, MoeramError, did_you_mean

app = typer.Typer(no_args_is_help=True, help="Check the engine against references, rules and closed forms.")


@app.callback()
def main_options() -> None:
    """Check the engine against references, rules and closed forms."""


@app.command()
def golden(
    case: Annotated[
        Path, typer.Argument(metavar="CASE_DIR", help="Folder of a reference case, or of several; it stays as it is.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT_DIR", help="Folder for the results.")],
) -> None:
    """Run a reference case, or each in a folder of them, and leave what the comparison tool reads in OUT_DIR (OUT_DIR/CASE)."""
    several = check.cases_in(case)
    if not several:
        for warning in check.run_case(case, output):
            typer.echo(f"warning: {warning}", err=True)
        return
    failed = 0
    for one in several:
        try:
            warnings = check.run_case(one, output / one.name)
            typer.echo(f"{one.name}: done" + (f", {len(warnings)} warnings" if warnings else ""))
        except MoeramError as error:
            failed += 1
            typer.echo(f"{one.name}: FAILED: {' '.join(str(error).split())}")
    typer.echo(f"{len(several) - failed} of {len(several)} cases ran")
    if failed:
        raise typer.Exit(1)


@app.command()
def commands(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Command traces, one per channel; plain or .gz.")
    ],
    standard: Annotated[str | None, typer.Option("--standard", help="DRAM standard, such as DDR4@2.0.")] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="Take the device from this moeram-sim or Ramulator 2.0 configuration."),
    ] = None,
    org: Annotated[str | None, typer.Option("--org", help="Organisation preset.")] = None,
    timing: Annotated[str | None, typer.Option("--timing", help="Timing preset.")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="KEY=VALUE", help="org.rank=2 or timing.nRCD=17; may be repeated."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Count the violations of every rule.")] = False,
) -> None:
    """Check command traces against every timing and state rule of a standard; exit code 1 at a violation."""
    if (standard is None) == (config is None):
        raise ConfigError("one of --standard and --config is needed")
    if config is not None:
        if org or timing or parameter:
            raise ConfigError("--config names the whole device; --org, --timing and -p go with --standard")
        book = check.rulebook_of_config(config)
    else:
        sizes, cycles = _overrides(parameter or [])
        book = check.rulebook(standard, organization=org, timing=timing, sizes=sizes, cycles=cycles)
    broken = False
    for file in files:
        report = check.check_commands(file, book)
        if report.first is None:
            typer.echo(f"{file}: {report.commands} commands follow the rules of {book.standard}")
            continue
        broken = True
        typer.echo(report.describe_first())
        if everything:
            typer.echo(f"{file}: {sum(report.counts.values())} violations in {report.commands} commands")
            for rule, count in sorted(report.counts.items(), key=lambda item: (-item[1], item[0])):
                typer.echo(f"  {count:>8}  {rule}")
    if broken:
        raise typer.Exit(1)


@app.command()
def parity(
    paths: Annotated[
        list[Path], typer.Argument(metavar="CONFIG | FOLDER FOLDER", help="A configuration, or two folders of results.")
    ],
    ramulator2: Annotated[
        Path | None, typer.Option("--ramulator2", metavar="PROGRAM", help="Your ramulator2; runs CONFIG beside moeram.")
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option("--ignore", metavar="PATTERN", help="Leave out such files; may be repeated.")
    ] = None,
) -> None:
    """Compare two runs and print the first difference: ours with a ramulator2 of yours, or two folders; exit code 1 at one."""
    if ramulator2 is not None:
        if len(paths) != 1:
            raise ConfigError("--ramulator2 goes with one configuration")
        result = check.compare_with_ramulator(ramulator2, paths[0])
    elif len(paths) == 2:
        result = check.compare_folders(paths[0], paths[1], ignore or [])
    else:
        raise ConfigError("two folders, or --ramulator2 PROGRAM with one configuration, are needed")
    for warning in result.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if result.difference is not None:
        typer.echo(f"differs: {result.difference}")
        raise typer.Exit(1)
    typer.echo(f"equal: {result.values} statistics; {result.files} other files with {result.lines} lines")


@app.command()
def device(
    standard: Annotated[
        str, typer.Argument(metavar="STANDARD", help="DRAM standard, such as DDR4@2.1, or a data file.")
    ],
    org: Annotated[str | None, typer.Option("--org", help="Organisation preset. [all]")] = None,
    timing: Annotated[str | None, typer.Option("--timing", help="Timing preset. [all]")] = None,
) -> None:
    """Measure the presets of a standard with the engine against closed forms of their timing; exit code 1 at a failure."""
    failed = refused = 0
    pairs = check.preset_pairs(standard, org, timing)
    for organization, speed in pairs:
        report = check.check_device(standard, organization, speed)
        typer.echo(f"{standard} {organization} {speed}")
        if report.refused:
            refused += 1
            typer.echo(f"  refused: {report.refused}")
            continue
        failed += not report.passed
        for line in report.lines:
            verdict = "pass" if line.passed else "FAIL"
            figures = f"{line.measured:>12.6g} {line.unit:<5} expected {line.expected:.6g}"
            span = "" if line.lowest == line.highest else f" ({line.lowest:.6g} to {line.highest:.6g})"
            note = f"; {line.note}" if line.note and not line.passed else ""
            typer.echo(f"  {verdict}  {line.name:<34} {figures}{span}{note}")
    typer.echo(
        f"{len(pairs) - failed - refused} of {len(pairs)} pairs of presets pass, {failed} fail, {refused} refused"
    )
    if failed or refused == len(pairs):
        raise typer.Exit(1)


def _overrides(texts: list[str]) -> tuple[dict[str, int], dict[str, int]]:
    sizes: dict[str, int] = {}
    cycles: dict[str, int] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        group, _, name = key.partition(".")
        if not equals or not name:
            raise ConfigError(f"-p {text}: org.NAME=NUMBER or timing.NAME=NUMBER is expected")
        if group not in ("org", "timing"):
            raise ConfigError(f"-p {text}: {group!r} is unknown{did_you_mean(group, ['org', 'timing'])}")
        try:
            (sizes if group == "org" else cycles)[name] = int(value, 0)
        except ValueError:
            raise ConfigError(f"-p {text}: {value!r} is not a whole number") from None
    return sizes, cycles
