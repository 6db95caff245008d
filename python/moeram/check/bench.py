"""Small runs of the engine on one channel: address patterns in, the commands it issued out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moeram.check.command_file import CommandTrace, read_commands
from moeram.check.rulebook import Rulebook, rulebook, standard_data
from moeram.hardware.cycle import load_core
from moeram.options import dump_yaml

_OFFERS_PER_CYCLE = 4
_BANKS_AT_ONCE = 4


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One device with its rules; facts are the resolver's, times in engine ticks unless a name says otherwise."""

    standard: str
    book: Rulebook
    data: Mapping[str, Any]
    facts: Mapping[str, Any]
    organization: str
    timing: str

    @property
    def ticks_per_cycle(self) -> int:
        """Engine ticks of a clock cycle."""
        return self.facts["ticks_per_cycle"]

    @property
    def tick_ns(self) -> float:
        """Length of a tick in ns."""
        return self.facts["tick_ns"]

    def ticks(self, *names: str) -> int | None:
        """Ticks of the first of these timing parameters that the standard has, or None."""
        found = next((name for name in names if name in self.facts["timing"]), None)
        return None if found is None else self.facts["timing"][found] * self.ticks_per_cycle

    def count(self, level: str) -> int:
        """Nodes of a level in one node above, 1 if the standard lacks it."""
        return self.book.counts[self.book.levels.index(level)] if level in self.book.levels else 1

    def stream(self) -> Iterator[tuple[int, ...]]:
        """Addresses row by row; pseudochannels and bank groups (or four banks) take turns with every access.

        A queue of 33 requests is too short to open a row in time when its reads come in a block, so the first read of the next row,
        which lies in another bank, comes most of a row earlier, and the turns begin at different columns.
        """
        inner, lanes = self._lanes()
        columns = self.book.counts[-1] // self.facts["prefetch"]
        ahead = columns // 8
        for step in count():
            for number, lane in enumerate(lanes):
                block, place = divmod(step + number * columns // len(lanes), columns)
                if place == ahead:
                    yield self._place(inner, lane, block + 1, 0)
                else:
                    yield self._place(inner, lane, block, place + (place < ahead))

    def new_rows(self) -> Iterator[tuple[int, ...]]:
        """Addresses that open another row of another bank with every access."""
        inner, lanes = self._lanes()
        for step in count():
            for lane in lanes:
                yield self._place(inner, lane, step, 0)

    def one_bank(self) -> Iterator[tuple[int, ...]]:
        """Addresses in one bank, another row with every access."""
        for row in range(self.book.counts[-2]):
            yield tuple(row if level == "row" else 0 for level in self.book.levels)

    @property
    def _banks_at_once(self) -> int:
        return 1 if "bankgroup" in self.book.levels else min(_BANKS_AT_ONCE, max(self.count("bank") // 2, 1))

    def _lanes(self) -> tuple[list[str], list[tuple[int, ...]]]:
        inner = ["bank", *(level for level in ("bankgroup", "pseudochannel") if level in self.book.levels)]
        sizes = [self._banks_at_once, *(self.count(level) for level in inner[1:])]
        return inner, list(product(*(range(size) for size in sizes)))

    def _place(self, inner: Sequence[str], lane: Sequence[int], block: int, column: int) -> tuple[int, ...]:
        """Address of a lane's block-th row: other banks first, then another row; one rank and one stack, as switching costs."""
        entries = dict(zip(inner, lane, strict=True))
        block, group = divmod(block, self.count("bank") // self._banks_at_once)
        entries["bank"] += group * self._banks_at_once
        entries.update(row=block % self.book.counts[-2], column=column)
        return tuple(entries.get(level, 0) for level in self.book.levels)

    def run(
        self, addresses: Iterator[tuple[int, ...]], requests: int, *, refresh: bool = False, wait: int = 0
    ) -> tuple[CommandTrace, dict[str, str]]:
        """Read `requests` addresses and return the issued commands and the engine's statistics text by line.

        wait: ticks between two offers; 0: as many as the queue takes. The run ends with the last accepted request, so that
        the requests still queued are not served.
        """
        with tempfile.TemporaryDirectory(prefix="moeram-device-") as name:
            folder = Path(name)
            lines = (f"R {','.join(map(str, address))}\n" for address in islice(addresses, requests))
            (folder / "reads.trace").write_text("".join(lines))
            (folder / "config.yaml").write_text(dump_yaml(self._config(refresh, wait)))
            statistics, _ = load_core().run_ramulator(str(folder / "config.yaml"), folder=name)
            trace = read_commands(folder / "cmd.ch0", self.book)
        table = dict(line.strip().split(": ", 1) for line in statistics.splitlines() if ": " in line)
        return trace, table

    def _config(self, refresh: bool, wait: int) -> dict[str, Any]:
        groups = {entry["group"]: {} for entry in self.data.get("settings", {}).values() if entry.get("group")}
        for name, entry in self.data.get("settings", {}).items():
            if entry.get("group"):
                groups[entry["group"]][name] = entry["default"]
        controller = {
            "impl": "Generic",
            "Scheduler": {"impl": "FRFCFS"},
            "RefreshManager": {"impl": "AllBank" if refresh else "None"},
            "RowPolicy": {"impl": "OpenRowPolicy"},
            "plugins": [{"ControllerPlugin": {"impl": "TraceRecorder", "path": "cmd"}}],
        }
        dram = {"impl": self.standard, "org": {"preset": self.organization}, "timing": {"preset": self.timing}}
        return {
            "Frontend": {
                "impl": "ReadWriteTraceFixed",
                "path": "reads.trace",
                "clock_ratio": 1 if wait else _OFFERS_PER_CYCLE,
            },
            "MemorySystem": {
                "impl": "GenericDRAM",
                "clock_ratio": max(wait, 1),
                "DRAM": {**dram, **groups},
                "AddrMapper": {"impl": "RoBaRaCoCh"},
                "Controller": controller,
            },
        }


def bench(standard: str, organization: str, timing: str) -> Bench:
    """Return the bench of one pair of presets. Raises ConfigError as `rulebook` does."""
    data = standard_data(standard)
    facts = load_core().resolve(standard, organization=organization, timing=timing)
    book = rulebook(standard, organization=organization, timing=timing)
    return Bench(
        standard=str(Path(standard).resolve()) if standard.endswith((".yaml", ".yml")) else standard,
        book=book,
        data=data,
        facts=facts,
        organization=organization,
        timing=timing,
    )


def cycles_of(trace: CommandTrace, name: str) -> NDArray[np.int64]:
    """Cycles at which a command was issued."""
    return trace.cycles[trace.command == trace.names.index(name)]


def most_in_window(cycles: NDArray[np.int64], length: int) -> int:
    """Return the largest number of events in any `length` consecutive ticks."""
    return int((np.searchsorted(cycles, cycles + length) - np.arange(len(cycles))).max()) if len(cycles) else 0
