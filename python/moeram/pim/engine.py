"""Programs on the cycle engine: time, commands, use of the units and energy by command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from moeram.errors import ConfigError
from moeram.hardware.program_runs import play_program
from moeram.pim.design import PimDesign
from moeram.pim.kernels import Kernel


@dataclass(frozen=True, kw_only=True)
class ProgramTimes:
    """What the engine found for a program.

    cycles: of a clock of tck_ps, until everything is done. commands: of each kind, by channel. energy_nj: of all channels, by command
    and "background", as the standard prices them. warnings: of the engine.
    """

    cycles: int
    tck_ps: int
    commands: dict[int, dict[str, int]]
    energy_nj: dict[str, float]
    warnings: tuple[str, ...] = ()

    @property
    def time_ns(self) -> float:
        """The time of the program."""
        return self.cycles * self.tck_ps / 1000

    @property
    def total_commands(self) -> dict[str, int]:
        """Commands of each kind, of all channels."""
        totals: dict[str, int] = {}
        for counts in self.commands.values():
            for name, count in counts.items():
                totals[name] = totals.get(name, 0) + count
        return totals


def time_program(design: PimDesign, text: str, *, refresh: bool = True, command_trace: str | Path = "") -> ProgramTimes:
    """Play a program on the engine.

    Args:
        command_trace: where every command goes, one file "<path>.ch<channel>" each.

    Raises:
        TraceError: names the line that is wrong. EngineError: nothing can happen any more; names the blocked request.
    """
    answer = play_program(design.memory(refresh=refresh), text, command_trace=command_trace)
    commands = {channel: counts for channel, counts in answer["command_counts_by_channel"].items() if counts}
    cycles = answer["memory_system_cycles"]
    return ProgramTimes(
        cycles=cycles,
        tck_ps=design.facts["tck_ps"],
        commands=commands,
        energy_nj=_energy_nj(design, commands, cycles),
        warnings=tuple(answer["warnings"]),
    )


def peak_cycles(kernel: Kernel, times: ProgramTimes) -> float:
    """Return the cycles that the units need for the kernel's multiplications alone: all of them, a command whenever one may come.

    Raises:
        ConfigError: a kernel whose program does not say its work, or has no command that multiplies.
    """
    design, issued = kernel.design, times.total_commands
    multiplying = [name for name in design.multiplications if issued.get(design.command(name) or "")]
    if not multiplying or kernel.work is None:
        raise ConfigError(f"{design.standard} {kernel.name}: no work of multiplications to compare with")
    name = max(multiplying, key=lambda each: issued[design.command(each) or ""])
    command = design.command(name)
    own = [row for row in design.facts["rows"] if row[1] == row[2] == command and row[4] == 1 and not row[5]]
    levels = [row[0] for row in own]
    # Of several levels the first bounds what may come next anywhere in the channel.
    first = next((level for level in design.counts if level in levels), None)
    gap = max((row[3] for row in own if row[0] == first), default=1)
    at_once = design.lanes_per_access * design.counts["channel"]
    for level in design.spans(name):
        at_once *= design.counts[level]
    return kernel.work / at_once * gap


def _energy_nj(design: PimDesign, commands: dict[int, dict[str, int]], cycles: int) -> dict[str, float]:
    energy = design.facts["energy"]
    if not energy:
        return {}
    units, prices = energy["units_per_channel"], energy["commands"]
    out: dict[str, float] = {}
    for counts in commands.values():
        for name, count in counts.items():
            out[name] = out.get(name, 0.0) + count * prices[name]["pj"] * units / 1000
    # mW x ns are pJ.
    time_ns = cycles * design.facts["tck_ps"] / 1000
    out["background"] = energy["background"]["mw"] * units * time_ns * design.counts["channel"] / 1000
    return out
