"""Traces of standards that declare instructions, played on the cycle engine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from moeram.errors import MoeramError
from moeram.hardware.cycle import load_core

# By the syntax of the instructions: front end, memory system, controller, scheduler, refresh, mapper, as those simulators name them.
_DIALECTS = {
    "fields": ("AiMTrace", "AiMDRAM", "AiM", "FRFCFS", "AllBank", "RoBaRaCoCh"),
    "operation_address": ("PIMLoadStoreTrace", "PIMDRAM", "HBM3-PIM", "PIM", "AllBankHBM3", "HBM3-PIM"),
}


@dataclass(frozen=True, kw_only=True)
class ProgramMemory:
    """The memory that a trace is for: a standard's name or file, presets and sizes as under `DRAM.org` and `DRAM.timing`.

    faults: "all", "none", or whether a fault is kept by its name. host, sharing: ordinary requests beside the program and who goes first, as under `Frontend.Host` and `Controller.Sharing`.
    """

    standard: str
    organization: dict[str, Any]
    timing: dict[str, Any]
    syntax: str = "fields"
    faults: str | dict[str, bool] = "all"
    refresh: bool = True
    host: dict[str, Any] | None = None
    sharing: dict[str, Any] | None = None

    def configuration(self) -> dict[str, Any]:
        """Return what moeram-sim reads, for a trace in program.txt."""
        frontend, system, controller, scheduler, refreshes, mapper = _DIALECTS[self.syntax]
        is_file = self.standard.endswith((".yaml", ".yml"))
        return {
            "Frontend": {"impl": frontend, "path": "program.txt", "clock_ratio": 1, **_given(Host=self.host)},
            "MemorySystem": {
                "impl": system,
                "clock_ratio": 1,
                "DRAM": {
                    "impl": str(Path(self.standard).resolve()) if is_file else self.standard,
                    "org": self.organization,
                    "timing": self.timing,
                    "faults": self.faults,
                },
                "Controller": {
                    "impl": controller,
                    "Scheduler": {"impl": scheduler},
                    "RefreshManager": {"impl": refreshes if self.refresh else "No"},
                    **_given(Sharing=self.sharing),
                },
                "AddrMapper": {"impl": mapper},
            },
        }


@dataclass(frozen=True, kw_only=True)
class LoweredCommand:
    """One column command of a program. bank: as the line names it, -1 if it does not.

    step: what units that run microcode do with it, (operation, [(operand, register), ...], ReLU); None: nothing.
    """

    line: int
    channel: int
    words: str
    bank: int
    row: int
    column: int
    text: str = field(repr=False)
    step: tuple[str, list[tuple[str, int]], bool] | None


def play_program(memory: ProgramMemory, trace: str, *, command_trace: str | Path = "") -> dict[str, Any]:
    """Play the text of a trace: the engine's cycles, statistics and counts of commands by channel.

    Args:
        command_trace: where every command goes, one file "<path>.ch<channel>" each.

    Raises:
        ConfigError, TraceError, EngineError: what the engine refuses, with the line of the trace.
    """
    return _call(load_core().run_queued, memory, trace, command_trace=str(command_trace))


def play_turns(memory: ProgramMemory, trace: str, *, most: int, fold: bool = True) -> dict[str, Any]:
    """Play the text of a trace again and again on one channel, until its state comes back (with `fold`) or `most` turns are played.

    Returns end_cycles [turns + 1], issued [turns + 1, commands], commands (names), period_begin and period (0: no state came back).
    """
    return _call(load_core().run_turns, memory, trace, most=most, fold=fold)


def lower_program(memory: ProgramMemory, trace: str) -> list[LoweredCommand]:
    """Return every column command of a trace in its order.

    Raises:
        ConfigError: a standard whose trace is no program of instructions. TraceError: a line that is wrong.
    """
    names = ("line", "channel", "words", "bank", "row", "column", "text", "step")
    return [
        LoweredCommand(**dict(zip(names, entry, strict=True)))
        for entry in _call(load_core().lowered_program, memory, trace)
    ]


def check_program(memory: ProgramMemory, trace: str) -> list[str]:
    """Read a trace as `play_program` does and run nothing; the engine's warnings.

    Raises:
        ConfigError, TraceError: what the engine refuses, with the line of the trace.
    """
    return list(_call(load_core().check_program, memory, trace))


def _given(**values: dict[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _call(call: Callable[..., Any], memory: ProgramMemory, trace: str, **options: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "program.txt").write_text(trace, encoding="utf-8")
        path = Path(folder, "config.yaml")
        path.write_text(yaml.safe_dump(memory.configuration()), encoding="utf-8")

        def named(text: str) -> str:  # the user knows neither the folder nor the configuration
            return text.replace(str(path), memory.standard).replace(f"{folder}/", "")

        try:
            answer = call(str(path), folder=folder, **options)
        except MoeramError as error:
            raise type(error)(named(str(error))) from None
        if isinstance(answer, dict) and "warnings" in answer:
            answer["warnings"] = [named(warning) for warning in answer["warnings"]]
        return answer
