"""Instruction traces played on the cycle engine: one configuration for every standard that declares instructions."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from moeram.hardware.cycle import load_core


def play_program(
    standard: str, trace: str, *, organization: dict[str, Any], timing: dict[str, Any], refresh: bool = True
) -> dict[str, Any]:
    """Play the text of a trace: the engine's cycles, statistics and counts of commands by channel.

    `organization`, `timing`: preset and sizes, as under `DRAM.org` and `DRAM.timing`.

    Raises:
        ConfigError, TraceError, EngineError: what the engine refuses, with the line of the trace.
    """
    return _with_configuration(load_core().run_queued, standard, trace, organization, timing, refresh)


def lower_program(
    standard: str, trace: str, *, organization: dict[str, Any], timing: dict[str, Any]
) -> list[tuple[Any, ...]]:
    """Return every column command of a trace in its order: (line, channel, words, bank, row, column, text, step).

    step: what units that run microcode do with it, (operation, [(operand, register), ...], ReLU), or None.
    """
    return _with_configuration(load_core().lowered_program, standard, trace, organization, timing, True)


def _with_configuration(
    call: Callable[..., Any],
    standard: str,
    trace: str,
    organization: dict[str, Any],
    timing: dict[str, Any],
    refresh: bool,
) -> Any:
    configuration = {
        "Frontend": {"impl": "AiMTrace", "path": "trace.txt", "clock_ratio": 1},
        "MemorySystem": {
            "impl": "AiMDRAM",
            "clock_ratio": 1,
            "DRAM": {"impl": standard, "org": organization, "timing": timing},
            "Controller": {
                "impl": "AiM",
                "Scheduler": {"impl": "FRFCFS"},
                "RefreshManager": {"impl": "AllBank" if refresh else "No"},
            },
            "AddrMapper": {"impl": "RoBaRaCoCh"},
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "trace.txt").write_text(trace, encoding="utf-8")
        path = Path(folder, "config.yaml")
        path.write_text(yaml.safe_dump(configuration), encoding="utf-8")
        return call(str(path), folder=folder)
