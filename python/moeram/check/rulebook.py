"""What a command trace may do, read from a standard's data: timing rows in cycles, states of banks, flags of commands.

Numbers come from the resolver of the standards, which is compared with independent sheets for every pair of presets. Nothing
here or in the checker that uses it comes from the device model that produced the trace.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from moeram.errors import ConfigError
from moeram.hardware.cycle import load_core
from moeram.options import load_config, load_yaml
from moeram.options.tree import Tree, overlay

_EFFECTS = {
    "open_row": "open",
    "open_row_in_all_banks": "open",
    "open_row_in_span": "open",
    "finish_opening": "open",
    "half_open": "half",
}
_WITHOUT_FAULTS = "traces of it are checked by a configuration with DRAM.faults: none (--config)"
_OF_DEVICES = ("commands", "timing", "behaviour")
_SIMULATORS_NAMES = {("PIMDRAM", "HBM3-PIM"): "HBM3@attacc", ("AiMDRAM", "GDDR6"): "GDDR6@aim"}
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
    spans: positions of the levels whose nodes all take part in lock step, whatever the address says there.
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
    spans: tuple[int, ...] = ()


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
    if "faults" in data:
        raise ConfigError(f"{standard}: its simulator's faults break the rules; {_WITHOUT_FAULTS}")
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
    system = _memory_system(path)
    if system.get("impl") in ("PIMDRAM", "AiMDRAM"):
        return _computing(path, system)
    facts = load_core().resolve_config(str(path))
    return _book(facts, standard_data(facts["standard"]))


def standard_data(name_or_path: str) -> dict[str, Any]:
    """Return the data file of a standard, laid over those that it extends, as plain dicts and lists."""
    if name_or_path.endswith((".yaml", ".yml")):
        return load_config("standards", name_or_path).value
    name = load_core().standard_presets(name_or_path)["standard"]
    return load_config("standards", name).value


def _memory_system(path: Path) -> dict[str, Any]:
    try:
        system = load_yaml(path).value["MemorySystem"]
    except (TypeError, KeyError):
        return {}
    return system if isinstance(system, dict) else {}


def _computing(path: Path, system: Mapping[str, Any]) -> Rulebook:
    """A memory that computes, without the faults of its simulator: each is undone by a file that extends the one before."""
    dram = system.get("DRAM")
    if not isinstance(dram, dict) or not isinstance(dram.get("impl"), str):
        raise ConfigError(f"{path}: MemorySystem.DRAM.impl: the name or file of a standard is expected")
    name = _SIMULATORS_NAMES.get((system["impl"], dram["impl"]), dram["impl"])
    if name.endswith((".yaml", ".yml")):
        name = str(Path(name).resolve())
    data = standard_data(name)
    if "faults" in data and dram.get("faults") != "none":
        raise ConfigError(
            f"{path}: MemorySystem.DRAM: the faults of {name}'s simulator break the rules; {_WITHOUT_FAULTS}"
        )
    with tempfile.TemporaryDirectory(prefix="moeram-rules-") as folder:
        for number, fault in enumerate(data.get("faults", {}).values()):
            without = {key: part for key, part in fault["without"].items() if key in _OF_DEVICES}
            if not without:
                continue
            data = overlay(Tree(value=data, origins={}), Tree(value=without, origins={})).value
            file = Path(folder) / f"{number}.yaml"
            file.write_text(yaml.safe_dump({"extends": name, **without}))
            name = str(file)
        config = Path(folder) / "config.yaml"
        config.write_text(yaml.safe_dump({"MemorySystem": {"DRAM": {**dram, "impl": name}}}))
        try:
            facts = load_core().resolve_config(str(config))
        except ConfigError as error:
            raise ConfigError(str(error).replace(str(config), str(path))) from None
    return _book(facts, data)


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
        spans = tuple(levels.index(level) for level in data["commands"][name].get("spans", ()))
        commands[name] = Command(
            scope=min(levels.index(entry["scope"]), bank_level),
            accessing=entry["accessing"],
            refreshing=entry["refreshing"],
            internal=name in internal,
            effect=_EFFECTS.get(action, "close" if action else ""),
            reach=bank_level if spans else reach,
            same_number="same_banks" in action,
            bus=entry["bus"],
            stride=facts["ticks_per_cycle"] if entry["whole_cycle"] else 1,
            spans=spans,
        )
    return commands
