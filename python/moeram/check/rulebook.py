"""What a command trace may do, read from a standard's data: timing rows in cycles, states of banks, flags of commands.

Numbers come from the resolver of the standards, which is compared with independent sheets for every pair of presets. Nothing
here or in the checker that uses it comes from the device model that produced the trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moeram.errors import ConfigError
from moeram.hardware.cycle import load_core
from moeram.options import config_path, load_yaml

_EFFECTS = {"open_row": "open", "open_row_in_all_banks": "open", "finish_opening": "open", "half_open": "half"}
_CLOCK_EFFECTS = ("keep_in_step", "extend_in_step")


@dataclass(frozen=True, kw_only=True)
class Row:
    """`following` waits `cycles` after the `window`-th latest `preceding` on a node of `level`, or beside it (`sibling`)."""

    level: int
    preceding: str
    following: str
    cycles: int
    window: int
    sibling: bool


@dataclass(frozen=True, kw_only=True)
class Command:
    """scope: deepest level whose rows bind the command. effect: "open", "half", "close" or "" on the banks under `reach`.

    reach: level of the node whose banks the effect takes; same_number: only those of the addressed bank number.
    stride: the command starts only in each stride-th tick, the first of all included.
    """

    scope: int
    accessing: bool
    refreshing: bool
    internal: bool
    effect: str = ""
    reach: int = 0
    same_number: bool = False
    bus: str = "command"
    stride: int = 1


@dataclass(frozen=True, kw_only=True)
class Rulebook:
    """Everything that the checker of command traces knows about a device. counts: nodes per level, channel first.

    in_step_for: ticks that the data clock of a node of in_step_level stays in step after a command; where in_step_extends it never
    gets shorter by a later one. deadline: most ticks between the halves of an opening, -1 without one.
    """

    standard: str
    levels: tuple[str, ...]
    counts: tuple[int, ...]
    commands: Mapping[str, Command]
    rows: tuple[Row, ...]
    in_step_for: Mapping[str, int]
    in_step_level: int
    in_step_extends: bool
    deadline: int

    @property
    def bank_level(self) -> int:
        """Position of the deepest level with nodes; row and column follow."""
        return len(self.levels) - 3


def rulebook(
    standard: str,
    *,
    organization: str | None = None,
    timing: str | None = None,
    sizes: Mapping[str, int] | None = None,
    cycles: Mapping[str, int] | None = None,
) -> Rulebook:
    """Return the rules of a standard by name ("DDR4@2.0") or path.

    Args:
        organization, timing: presets; may be left out where there is only one.
        sizes, cycles: values that replace the presets' ("rank": 2; "nRCD": 17).

    Raises:
        ConfigError: an unknown standard, preset, size or timing.
    """
    data = standard_data(standard)
    facts = load_core().resolve(
        standard,
        organization=organization or only_preset(data, "organization", standard),
        timing=timing or only_preset(data, "timing", standard),
        sizes=dict(sizes or {}),
        cycles=dict(cycles or {}),
    )
    return _book(facts, data)


def rulebook_of_config(path: Path) -> Rulebook:
    """Return the rules of the device that a configuration of moeram-sim or Ramulator 2.0 describes."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    facts = load_core().resolve_config(str(path))
    return _book(facts, standard_data(facts["standard"]))


def standard_data(name_or_path: str) -> dict[str, Any]:
    """Return the data file of a standard as plain dicts and lists."""
    if name_or_path.endswith((".yaml", ".yml")):
        return load_yaml(config_path("standards", name_or_path)).value
    name = load_core().standard_presets(name_or_path)["standard"]
    return load_yaml(config_path("standards", name)).value


def only_preset(data: Mapping[str, Any], kind: str, standard: str) -> str:
    """Return the preset of a kind ("organization", "timing") if there is one only, else raise ConfigError with the names."""
    presets = list(data[kind]["presets"])
    if len(presets) != 1:
        flag = "--org" if kind == "organization" else "--timing"
        raise ConfigError(f"{standard}: {flag} is needed; {kind} presets: {', '.join(presets)}")
    return presets[0]


def _book(facts: Mapping[str, Any], data: Mapping[str, Any]) -> Rulebook:
    levels = tuple(facts["levels"])
    rows = tuple(
        Row(level=levels.index(level), preceding=before, following=after, cycles=cycles, window=window, sibling=sibling)
        for level, before, after, cycles, window, sibling in facts["rows"]
    )
    behaviour = data["behaviour"]
    two_step = facts["two_step"]
    clocks = {rule for rules in behaviour["actions"].values() for rule in rules.values()} & set(_CLOCK_EFFECTS)
    return Rulebook(
        standard=facts["standard"],
        levels=levels,
        counts=tuple(facts["counts"]),
        commands=_commands(levels, facts, data),
        rows=rows,
        in_step_for=two_step.get("in_step_for", {}),
        in_step_level=1,
        in_step_extends="extend_in_step" in clocks,
        deadline=two_step.get("deadline", -1),
    )


def _commands(levels: tuple[str, ...], facts: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Command]:
    behaviour = data["behaviour"]
    effects: dict[str, tuple[str, int]] = {}
    for level, rules in behaviour["actions"].items():
        for name, action in rules.items():
            if action not in _CLOCK_EFFECTS:
                effects[name] = (action, levels.index(level))
    internal = {entry["apply"] for entry in behaviour.get("delayed", {}).values()}
    bank_level = len(levels) - 3
    commands = {}
    for name, entry in facts["commands"].items():
        action, reach = effects.get(name, ("", 0))
        commands[name] = Command(
            scope=min(levels.index(entry["scope"]), bank_level),
            accessing=entry["accessing"],
            refreshing=entry["refreshing"],
            internal=name in internal,
            effect=_EFFECTS.get(action, "close" if action else ""),
            reach=reach,
            same_number="same_banks" in action,
            bus=entry["bus"],
            stride=facts["ticks_per_cycle"] if entry["whole_cycle"] else 1,
        )
    return commands
