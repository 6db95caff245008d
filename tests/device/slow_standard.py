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
    names: dict = field(default_factory=dict)

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


def resolve(
    data: dict, organization: str, timing: str, sizes: dict | None = None, cycles: dict | None = None
) -> Resolved:
    sizes = {**data["organization"]["presets"][organization], **(sizes or {})}
    plan = data["timing"]
    values = dict.fromkeys(plan["parameters"])
    values.update(plan["presets"][timing])
    settings = {name: entry["default"] for name, entry in data.get("settings", {}).items()}

    def names():
        return {**sizes, **settings, **values}

    for late in (False, True):
        for step in plan["derived"]:
            if bool(step.get("after_overrides")) == late:
                derive(step, values, names(), plan["rounding"])
        if not late:
            values.update(cycles or {})
    assert UNKNOWN not in values.values(), values
    levels = data["levels"]
    rows = []
    for level, preceding, following, latency, *words in plan["constraints"]:
        window = next((int(word.split()[1]) for word in words if word.startswith("last ")), 1)
        number = int(calculate(latency, names(), values["tCK_ps"]))
        for before in preceding:
            for after in following:
                rows.append(Row(levels.index(level), before, after, number, window, "sibling" in words))
    return Resolved(data, levels, [sizes[level] for level in levels], values, rows, names())


def derive(step: dict, values: dict, names: dict, rounding: str) -> None:
    name, tck_ps = step["name"], values.get("tCK_ps")
    if step.get("only_if_absent") and values[name] is not UNKNOWN:
        return
    if "formula" in step:
        value = calculate(step["formula"], names, tck_ps)
        values[name] = UNKNOWN if value is UNKNOWN else int(value)
        return
    found = step["rows"]
    for key in step["by"]:
        found = found.get(names[key]) if isinstance(found, dict) else UNKNOWN
    if found is not UNKNOWN:
        values[name] = to_cycles(found, tck_ps, rounding) if step.get("unit") == "ns" else int(found)
    elif step["otherwise"] != "keep":
        values[name] = UNKNOWN
