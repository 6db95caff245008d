"""What the device tests test: every shipped standard with a pair of presets, and how to write a changed one."""

from __future__ import annotations

import copy
import random
from functools import lru_cache
from itertools import product
from pathlib import Path

import slow_standard
import yaml

from moeram.errors import ConfigError
from moeram.hardware.cycle import load_core

STANDARDS = Path(__file__).resolve().parents[2] / "configs" / "standards"
# Standards with commands to banks in lock step are held against their simulators and against tests/physics/lockstep_rules.py: the slow
# model here knows no spans.
NAMES = sorted(path.stem for path in STANDARDS.glob("*.yaml") if "spans:" not in path.read_text())


@lru_cache
def data_of(name: str) -> dict:
    return slow_standard.read(STANDARDS / f"{name}.yaml")


def accepted(name: str, organization: str, timing: str) -> bool:
    try:
        load_core().resolve(name, organization=organization, timing=timing)
    except ConfigError:
        return False
    return True


@lru_cache
def pair_of(name: str, last: bool) -> tuple[str, str]:
    """The first or the last pair of presets that the standard accepts."""
    data = data_of(name)
    pairs = list(product(data["organization"]["presets"], data["timing"]["presets"]))
    return next(pair for pair in (reversed(pairs) if last else pairs) if accepted(name, *pair))


class Subject:
    """One standard with presets, in both readings: `slow` by the tests' own model, `probe()` by the engine."""

    def __init__(
        self,
        name: str,
        pair: tuple[str, str],
        sizes: dict | None = None,
        data: dict | None = None,
        path: Path | None = None,
    ):
        self.name, self.pair, self.sizes = name, pair, sizes or {}
        self.data = data or data_of(name)
        self.path = path
        self.slow = slow_standard.resolve(self.data, *pair, sizes=self.sizes)

    def probe(self):
        organization, timing = self.pair
        name = str(self.path) if self.path else self.name
        return load_core().DeviceProbe(name, organization=organization, timing=timing, sizes=self.sizes)

    def changed(self, tmp_path: Path, change) -> Subject:
        """The same with `change(data)` applied to a copy of its data file."""
        data = copy.deepcopy(self.data)
        change(data)
        path = tmp_path / f"{self.name}.yaml"
        path.write_text(yaml.dump(data, Dumper=yaml.CSafeDumper, sort_keys=False))
        return Subject(self.name, self.pair, self.sizes, data, path)

    def scope(self, command: str) -> int:
        """The deepest level whose rows bind the command."""
        named = self.data["commands"][command].get("scope")
        return min(self.slow.levels.index(named), self.slow.bank_level) if named else self.slow.bank_level

    def reach(self, command: str) -> int:
        """The deepest level that an address of the command names; all-bank commands name the node they are for."""
        entry, behaviour = self.data["commands"][command], self.data["behaviour"]
        if "scope" in entry:
            return self.slow.levels.index(entry["scope"])
        rule = behaviour["prerequisites"].get("bank", {}).get(command)
        if rule == "all_banks_closed_strict" or command == behaviour["answers"]["close_all"]:
            return self.slow.levels.index(behaviour["refresh"]["level"]) if "refresh" in behaviour else 1
        return len(self.slow.levels) - 1

    def address(self, command: str, draw: random.Random) -> list[int]:
        """Definite down to the command's reach, wildcards between there and the row, a few rows only."""
        reach = self.reach(command)
        same_number = "same_banks_closed" in str(self.data["behaviour"]["prerequisites"].get("rank", {}).get(command))
        only_row_zero = self.data["behaviour"].get("two_step_opening", {}).get("looks_for_row_zero")
        rows = 1 if only_row_zero else 3  # other rows are never served there, a fault that 2.0 has too
        address = [0]
        for level in range(1, len(self.slow.levels)):
            definite = level <= reach and not (same_number and self.slow.levels[level] == "bankgroup")
            most = rows if level > self.slow.bank_level else self.slow.counts[level]
            address.append(draw.randrange(most) if definite or level == self.slow.bank_level + 1 else -1)
        return address

    def meeting(self, first: list[int], following: str, draw: random.Random) -> list[int]:
        """An address for a command after one at `first` that meets the same nodes; wildcards below its own scope."""
        wanted = self.address(following, draw)
        reach = self.reach(following)
        address = [old if old >= 0 else new for old, new in zip(first, wanted, strict=True)]
        kept = (0, self.slow.bank_level + 1)
        return [entry if level <= reach or level in kept else -1 for level, entry in enumerate(address)]

    def beside(self, address: list[int], level: int) -> list[int] | None:
        """The same address at the next node of a level; None where there is only one or all are meant."""
        if self.slow.counts[level] < 2 or address[level] < 0:
            return None
        return [*address[:level], (address[level] + 1) % self.slow.counts[level], *address[level + 1 :]]


def subject(name: str, last: bool = False) -> Subject:
    return Subject(name, pair_of(name, last), {"rank": 2} if "rank" in data_of(name)["levels"] else {})


def patient(tested: Subject, tmp_path: Path) -> Subject:
    """The same without the deadline of an opening in two commands, which ends a walk that dawdles."""
    if "deadline" not in tested.data["behaviour"].get("two_step_opening", {}):
        return tested
    return tested.changed(tmp_path, lambda data: data["behaviour"]["two_step_opening"].pop("deadline"))
