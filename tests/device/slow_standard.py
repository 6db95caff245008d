"""A standard's data file resolved a second time, plainly: PyYAML, a dictionary of numbers, Python's own arithmetic.

Written from the description of the standards; imports nothing of moeram.
"""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

UNKNOWN = None


@dataclass
class Row:
    level: int
    preceding: str
    following: str
    latency: int
    window: int
    sibling: bool


@dataclass
class Resolved:
    data: dict
    levels: list[str]
    counts: list[int]
    values: dict[str, int]
    rows: list[Row]
    names: dict = field(default_factory=dict)  # everything that an expression may name, times in ticks

    def bus_ticks(self, command: str) -> int:
        per_cycle = self.data.get("ticks_per_cycle", 1)
        return round(self.data["commands"][command].get("bus_cycles", 1 / per_cycle) * per_cycle)

    @property
    def bank_level(self) -> int:
        return len(self.levels) - 3


def read(path: Path) -> dict:
    return yaml.load(path.read_text(), Loader=yaml.CSafeLoader)


def to_cycles(ns: float, tck_ps: int, rounding: str) -> int:
    if rounding == "up":
        return math.ceil(ns * 1000 / tck_ps - 1e-9)
    ps = int(np.float32(ns) * np.float32(1000))
    if rounding == "jedec_ddr5":
        return (ps * 997 // tck_ps + 1000) // 1000
    return (ps * 1000 // tck_ps + 974) // 1000


def f32_scale(factor, total, ras, rp):
    factor, total, ras, rp = (np.float32(value) for value in (factor, total, ras, rp))
    return float(factor * (total * ras / (ras + rp)) + total * rp / (ras + rp))


def calculate(text: str, names: dict, tck_ps: int | None):
    """The value of an expression of a data file; None if a name in it has no value yet."""
    text = str(text)
    used = {node.id for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Name)}
    functions = {
        "trunc": math.trunc, "floor": math.floor, "ceil": math.ceil, "round": round, "max": max, "min": min,
        "f32_scale": f32_scale,
        "jedec": lambda ns: to_cycles(ns, tck_ps, "jedec"),
        "jedec_ddr5": lambda ns: to_cycles(ns, tck_ps, "jedec_ddr5"),
        "up": lambda ns: to_cycles(ns, tck_ps, "up"),
    }  # fmt: skip
    if any(names.get(name) is UNKNOWN for name in used - functions.keys()):
        return UNKNOWN
    return eval(compile(text, "data file", "eval"), {"__builtins__": {}}, {**names, **functions})


def preset_values(plan: dict, name: str) -> dict:
    """A timing preset; a scaled one keeps the times in ns of its base, some parameters their cycles."""
    values = {key: value for key, value in plan["presets"][name].items() if key not in ("scaled_from", "source")}
    if "scaled_from" in plan["presets"][name]:
        base = preset_values(plan, plan["presets"][name]["scaled_from"])
        for key, value in base.items():
            if key not in values and value is not UNKNOWN:
                kept = key in plan["scaling"]["keep_cycles"]
                values[key] = value if kept else math.ceil(value * base["tCK_ps"] / values["tCK_ps"])
    return values


def resolve(
    data: dict, organization: str, timing: str, sizes: dict | None = None, cycles: dict | None = None
) -> Resolved:
    sizes = {**data["organization"]["presets"][organization], **(sizes or {})}
    sizes = {key: value for key, value in sizes.items() if not isinstance(value, str)}
    plan, ticks_per_cycle = data["timing"], data.get("ticks_per_cycle", 1)
    values = dict.fromkeys(plan["parameters"])
    values.update(preset_values(plan, timing))
    settings = {name: entry["default"] for name, entry in data.get("settings", {}).items()}
    settings["prefetch"] = data["organization"]["prefetch"]

    def names():
        return {**sizes, **settings, **values}

    for late in (False, True):
        for step in plan["derived"]:
            if bool(step.get("after_overrides")) == late:
                derive(step, values, names(), plan["rounding"])
        if not late:
            values.update(cycles or {})
    assert UNKNOWN not in values.values(), values
    in_ticks = {key: value * (1 if key in ("rate", "tCK_ps") else ticks_per_cycle) for key, value in values.items()}
    in_ticks = {**sizes, **settings, **in_ticks}
    levels = data["levels"]
    resolved = Resolved(data, levels, [sizes[level] for level in levels], values, [], in_ticks)
    resolved.rows = timing_rows(resolved)
    return resolved


def timing_rows(standard: Resolved) -> list[Row]:
    """The constraint rows command by command, shifted by bus ticks, and the rows of commands that take their bus for long."""
    commands, rows = standard.data["commands"], []
    long = {name: standard.bus_ticks(name) for name in commands}
    for level, preceding, following, latency, *words in standard.data["timing"]["constraints"]:
        window = next((int(word.split()[1]) for word in words if word.startswith("last ")), 1)
        number = int(calculate(latency, standard.names, standard.values["tCK_ps"]))
        for before in preceding:
            for after in following:
                shifted = number + long[before] - long[after]
                rows.append(Row(standard.levels.index(level), before, after, shifted, window, "sibling" in words))
    for before, entry in commands.items():
        for after, other in commands.items():
            if long[before] > 1 and entry.get("bus", "command") == other.get("bus", "command"):
                rows.append(Row(0, before, after, long[before], 1, False))
    return rows


def derive(step: dict, values: dict, names: dict, rounding: str) -> None:
    name, tck_ps = step["name"], values.get("tCK_ps")
    if step.get("only_if_absent") and values[name] is not UNKNOWN:
        return
    if "formula" in step:
        value = calculate(step["formula"], names, tck_ps)
        values[name] = UNKNOWN if value is UNKNOWN else int(value)
        return
    if "ladder" in step:
        key = calculate(step["key"], names, tck_ps) if "key" in step else None
        found = next((row["value"] for row in step["ladder"] if holds(row, {**names, "key": key})), UNKNOWN)
        if found is UNKNOWN and not isinstance(step["otherwise"], str):
            found = step["otherwise"]
    else:
        found = step["rows"]
        for key in step["by"]:
            found = found.get(names[key]) if isinstance(found, dict) else UNKNOWN
    if found is not UNKNOWN:
        values[name] = to_cycles(found, tck_ps, rounding) if step.get("unit") == "ns" else int(found)
    elif step["otherwise"] != "keep":
        values[name] = UNKNOWN


def holds(row: dict, names: dict) -> bool:
    """Do all bounds (NAME_min, NAME_max) of a ladder's step hold?"""
    bounds = [(key.rsplit("_", 1), limit) for key, limit in row.items() if key != "value"]
    return all(names[name] <= limit if kind == "max" else names[name] >= limit for (name, kind), limit in bounds)
