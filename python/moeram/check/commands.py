"""A second opinion on command traces: every timing row and every state rule of the standard, without the device model.

Each rule is asked of all commands at once. Of a row "following waits L cycles after the w-th latest preceding on one node of a
level" the preceding commands of each node stand sorted, and a binary search finds the w-th latest before each following one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moeram.check.command_file import CommandTrace, read_commands
from moeram.check.rulebook import Row, Rulebook

_Positions = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Violation:
    """Command `position` breaks `rule`; `other` is the earlier command of the rule (-1: none), `missing` cycles lack (0: state)."""

    position: int
    other: int
    missing: int
    rule: str


@dataclass(frozen=True, kw_only=True)
class CommandReport:
    """commands: how many were checked; first: the earliest violation in file order; counts: commands per broken rule."""

    trace: CommandTrace
    first: Violation | None
    counts: dict[str, int]

    @property
    def commands(self) -> int:
        """Number of commands checked."""
        return len(self.trace.cycles)

    def describe_first(self) -> str:
        """Return the first violation with both commands, the rule and the missing cycles."""
        if self.first is None:
            return ""
        found = self.first
        text = self.trace.line(found.position)
        if found.missing:
            text += f" comes {found.missing} cycle{'s' if found.missing > 1 else ''} too early"
        else:
            text += " is not allowed"
        if found.other >= 0:
            text += f"\n  after {self.trace.line(found.other)}"
        return f"{text}\n  rule: {found.rule}"


def check_commands(path: Path, book: Rulebook) -> CommandReport:
    """Check one channel's command trace against the rules of its device.

    Raises:
        TraceError: the file is no command trace of such a device.
    """
    return check_trace(read_commands(path, book), book)


def check_trace(trace: CommandTrace, book: Rulebook) -> CommandReport:
    """Check commands that are in memory already."""
    first: Violation | None = None
    counts: dict[str, int] = {}
    for rule, positions, others, missing in _broken(_in_lock_step(trace, book), book):
        if not len(positions):
            continue
        counts[rule] = counts.get(rule, 0) + len(np.unique(positions))
        at = int(np.lexsort((-missing, positions))[0])
        found = Violation(position=int(positions[at]), other=int(others[at]), missing=int(missing[at]), rule=rule)
        if first is None or (found.position, -found.missing) < (first.position, -first.missing):
            first = found
    return CommandReport(trace=trace, first=first, counts=counts)


def _in_lock_step(trace: CommandTrace, book: Rulebook) -> CommandTrace:
    """Return the trace with a wildcard in place of every entry that a command's banks in lock step do not share."""
    if not any(command.spans for command in book.commands.values()):
        return trace
    address = trace.address.copy()
    for number, name in enumerate(trace.names):
        for level in book.commands[name].spans:
            address[trace.command == number, level] = -1
    return replace(trace, address=address)


def _broken(trace: CommandTrace, book: Rulebook) -> Iterator[tuple[str, _Positions, _Positions, _Positions]]:
    yield from _bus(trace, book)
    for level, rows in groupby(sorted(book.rows, key=lambda row: row.level), key=lambda row: row.level):
        yield from _timing(trace, book, level, list(rows))
    yield from _states(trace, book)
    yield from _first_ticks(trace, book)
    if book.in_step_for:
        yield from _clock_in_step(trace, book)


def _nodes(trace: CommandTrace, book: Rulebook, level: int, chosen: _Positions) -> tuple[_Positions, _Positions]:
    """Return (positions, nodes of `level`) that the chosen commands address; a wildcard stands for all nodes."""
    positions, nodes = chosen, trace.address[chosen, 0]
    for depth in range(1, level + 1):
        entry, count = trace.address[positions, depth], book.counts[depth]
        times = np.where(entry < 0, count, 1)
        start = np.repeat(np.cumsum(times) - times, times)
        entry = np.where(np.repeat(entry, times) < 0, np.arange(len(start)) - start, np.repeat(entry, times))
        positions, nodes = np.repeat(positions, times), np.repeat(nodes, times)
        nodes = nodes * count + entry
    return positions, nodes


class _Latest:
    """Finds on one level the w-th latest command of a kind before others; keys are node * stride + position."""

    def __init__(self, trace: CommandTrace, book: Rulebook, level: int) -> None:
        self.stride = len(trace.cycles) + 1
        self._keys: dict[tuple[str, bool], _Positions] = {}
        self._trace, self._book, self._level = trace, book, level

    def keys(self, name: str, *, definite: bool = False) -> _Positions:
        """Sorted keys of a command; `definite`: only where the level's own entry is no wildcard."""
        if (name, definite) not in self._keys:
            chosen = np.flatnonzero(self._trace.command == self._trace.names.index(name))
            if definite:
                chosen = chosen[self._trace.address[chosen, self._level] >= 0]
            positions, nodes = _nodes(self._trace, self._book, self._level, chosen)
            self._keys[name, definite] = np.sort(nodes * self.stride + positions)
        return self._keys[name, definite]


def _before(earlier: _Positions, at: _Positions, window: int, stride: int) -> _Positions:
    """Position of the window-th latest of the sorted keys `earlier` before each key of `at` with the same node, or -1."""
    if not len(earlier):
        return np.full(len(at), -1, dtype=np.int64)
    index = np.searchsorted(earlier, at) - window
    found = earlier[np.maximum(index, 0)]
    return np.where((index >= 0) & (found // stride == at // stride), found % stride, -1)


def _timing(trace: CommandTrace, book: Rulebook, level: int, rows: list[Row]) -> Iterator[tuple]:
    latest = _Latest(trace, book, level)
    longest: dict[tuple[str, str, int, bool], int] = {}
    for row in rows:
        key = (row.preceding, row.following, 1 if row.sibling else row.window, row.sibling)
        longest[key] = max(row.cycles, longest.get(key, 0))
    for (preceding, following, window, sibling), cycles in longest.items():
        if level > book.commands[following].scope or cycles <= 0:
            continue
        earlier, at = latest.keys(preceding, definite=sibling), latest.keys(following)
        if not len(earlier) or not len(at):
            continue
        rule = f"{book.levels[level]}: {preceding} -> {following} {cycles} cycles"
        rule += f", from the {window}th latest {preceding}" if window > 1 else ""
        rule += f", beside another {book.levels[level]}" if sibling else ""
        for asked in _beside(at, book.counts[level], latest.stride) if sibling else [at]:
            others = _before(earlier, asked, window, latest.stride)
            positions = asked % latest.stride
            missing = cycles - (trace.cycles[positions] - trace.cycles[others])
            wrong = (others >= 0) & (missing > 0)
            yield rule, positions[wrong], others[wrong], missing[wrong]


def _beside(at: _Positions, count: int, stride: int) -> Iterator[_Positions]:
    nodes, positions = np.divmod(at, stride)
    parent, entry = np.divmod(nodes, count)
    for step in range(1, count):
        yield (parent * count + (entry + step) % count) * stride + positions


def _bus(trace: CommandTrace, book: Rulebook) -> Iterator[tuple]:
    buses = sorted({command.bus for command in book.commands.values()})  # "none": a command that goes on no bus
    of_command = np.array([buses.index(book.commands[name].bus) for name in trace.names])
    for number, bus in enumerate(buses):
        if bus == "none":
            continue
        chosen = np.flatnonzero(of_command[trace.command] == number)
        chosen = chosen[np.argsort(trace.address[chosen, 0], kind="stable")]
        same = (np.diff(trace.cycles[chosen]) == 0) & (np.diff(trace.address[chosen, 0]) == 0)
        later = chosen[1:][same]
        yield f"one command a cycle on the {bus} bus", later, chosen[:-1][same], np.ones(len(later), dtype=np.int64)


def _states(trace: CommandTrace, book: Rulebook) -> Iterator[tuple]:
    """Rows must be open for accesses, banks closed for opening and refreshing; events that change banks stand sorted by bank."""
    stride = len(trace.cycles) + 1
    events = np.sort(np.concatenate([_touched(trace, book, name) for name in trace.names]))
    halves = {command.effect for command in book.commands.values()} >= {"half"}
    effect = np.array([("", "close", "half", "open").index(book.commands[name].effect) for name in trace.names])
    row = trace.address[:, book.bank_level + 1]
    for name, command in book.commands.items():
        chosen = np.flatnonzero(trace.command == trace.names.index(name))
        if not len(chosen) or not (command.accessing or command.refreshing or command.effect in ("open", "half")):
            continue
        positions, banks = _nodes(trace, book, book.bank_level, chosen)
        others = _before(events, banks * stride + positions, 1, stride)
        state = np.where(others >= 0, effect[trace.command[others]], 1)
        if command.accessing:
            right, rule = (state == 3) & (row[others] == row[positions]), f"{name} needs its row open"
        elif command.effect == "open" and halves:
            right, rule = (state == 2) & (row[others] == row[positions]), f"{name} completes an opening of its row"
        else:
            right, rule = state == 1, f"{name} needs a closed bank"
        wrong = ~right
        yield rule, positions[wrong], others[wrong], np.zeros(int(wrong.sum()), dtype=np.int64)
        if command.effect == "open" and book.deadline >= 0:
            wrong = right & (trace.cycles[positions] - trace.cycles[others] > book.deadline)
            rule = f"{name} follows its first half within {book.deadline} cycles"
            yield rule, positions[wrong], others[wrong], np.zeros(int(wrong.sum()), dtype=np.int64)


def _touched(trace: CommandTrace, book: Rulebook, name: str) -> _Positions:
    """Keys bank * stride + position of the banks whose state a command changes."""
    command = book.commands[name]
    chosen = np.flatnonzero(trace.command == trace.names.index(name)) if command.effect else np.zeros(0, dtype=np.int64)
    positions, nodes = _nodes(trace, book, command.reach, chosen)
    width = int(np.prod(book.counts[command.reach + 1 : book.bank_level + 1], dtype=np.int64))
    banks = nodes[:, None] * width + np.arange(width)
    keep = np.ones(banks.shape, dtype=bool)
    if command.same_number:
        keep = np.arange(width) % book.counts[book.bank_level] == trace.address[positions, book.bank_level][:, None]
    return (banks * (len(trace.cycles) + 1) + positions[:, None])[keep]


def _clock_in_step(trace: CommandTrace, book: Rulebook) -> Iterator[tuple]:
    """An access needs the data clock in step, which the latest command of `in_step_for` on the node keeps for some cycles."""
    latest = _Latest(trace, book, book.in_step_level)
    keys = np.sort(np.concatenate([latest.keys(name) for name in book.in_step_for]))
    lasts = np.array([book.in_step_for.get(name, 0) for name in trace.names])
    ends = trace.cycles + lasts[trace.command]
    if book.in_step_extends:
        ends = _longest_so_far(ends, keys, latest.stride)
    for name, command in book.commands.items():
        if not command.accessing:
            continue
        at = latest.keys(name)
        positions, others = at % latest.stride, _before(keys, at, 1, latest.stride)
        until = np.where(others >= 0, ends[others], -1)
        wrong = until < trace.cycles[positions]
        rule = f"{name} needs the data clock of its {book.levels[book.in_step_level]} in step"
        yield rule, positions[wrong], others[wrong], np.zeros(int(wrong.sum()), dtype=np.int64)


def _longest_so_far(ends: _Positions, keys: _Positions, stride: int) -> _Positions:
    """Of the events `keys` the latest end up to each of them on its node."""
    ends = ends.copy()
    nodes, positions = np.divmod(keys, stride)
    for node in np.unique(nodes):
        mine = positions[nodes == node]
        ends[mine] = np.maximum.accumulate(ends[mine])
    return ends


def _first_ticks(trace: CommandTrace, book: Rulebook) -> Iterator[tuple]:
    """With several ticks in a clock cycle some commands start only with a cycle; the first tick of all is 1."""
    stride = np.array([book.commands[name].stride for name in trace.names])[trace.command]
    late = np.flatnonzero((trace.cycles - 1) % stride != 0)
    yield "starts only with a clock cycle", late, np.full(len(late), -1), np.zeros(len(late), dtype=np.int64)
