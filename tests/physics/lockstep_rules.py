"""A second opinion on commands to banks in lock step: what JEDEC asks of every bank, checked from the command trace alone.

Written from the meaning of the commands, not from the engine's tables: which banks a command reaches, what each of these banks
must have seen before it, and how long ago.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

LONG_AGO = -(10**9)


@dataclass
class Bank:
    """What one bank has seen: cycles of the last command of each kind, and its open row."""

    row: int | None = None
    opened: int = LONG_AGO
    closed: int = LONG_AGO
    read: int = LONG_AGO
    written: int = LONG_AGO
    refreshed: int = LONG_AGO


@dataclass
class Rules:
    """Reach of each command (levels that it spans) and times in cycles."""

    sizes: tuple[int, ...]  # of the levels from below the channel to the bank
    opens: dict[str, tuple[int, ...]]  # command -> positions of the levels it spans
    closes: dict[str, tuple[int, ...]]
    accesses: dict[str, tuple[tuple[int, ...], int]]  # -> spanned levels, cycles from the opening
    writes: set[str]
    refreshes: dict[str, tuple[int, ...]]
    row_cycle: int
    row_active: int
    precharge: int
    read_to_precharge: int
    write_to_precharge: int
    refresh: int
    closes_after: set[str] = field(default_factory=set)  # accesses with a precharge of their own


def banks_of(rules: Rules, spans: tuple[int, ...], address: list[int]) -> list[tuple[int, ...]]:
    choices = [
        range(size) if level in spans or address[level] < 0 else (address[level],)
        for level, size in enumerate(rules.sizes)
    ]
    return list(itertools.product(*choices))


def check(rules: Rules, lines: list[str]) -> None:
    """Raise AssertionError at the first command that breaks a rule; `lines` are of one channel."""
    banks = {number: Bank() for number in itertools.product(*map(range, rules.sizes))}
    for text in lines:
        parts = text.replace(" ", "").split(",")
        now, name, address, row = int(parts[0]), parts[1], [int(x) for x in parts[3:-2]], int(parts[-2])
        if name in rules.opens:
            for number in banks_of(rules, rules.opens[name], address):
                bank = banks[number]
                assert bank.row is None, f"{text}: bank {number} is open"
                assert now - bank.closed >= rules.precharge, f"{text}: tRP in {number}"
                assert now - bank.opened >= rules.row_cycle, f"{text}: tRC in {number}"
                assert now - bank.refreshed >= rules.refresh, f"{text}: tRFC in {number}"
                bank.row, bank.opened = row, now
        elif name in rules.accesses:
            spans, delay = rules.accesses[name]
            for number in banks_of(rules, spans, address):
                bank = banks[number]
                assert bank.row == row, f"{text}: bank {number} has row {bank.row}"
                assert now - bank.opened >= delay, f"{text}: tRCD in {number}"
                if name in rules.writes:
                    bank.written = now
                else:
                    bank.read = now
                if name in rules.closes_after:
                    bank.row, bank.closed = None, now
        elif name in rules.closes:
            for number in banks_of(rules, rules.closes[name], address):
                bank = banks[number]
                if bank.row is None:
                    continue
                assert now - bank.opened >= rules.row_active, f"{text}: tRAS in {number}"
                assert now - bank.read >= rules.read_to_precharge, f"{text}: tRTP in {number}"
                assert now - bank.written >= rules.write_to_precharge, f"{text}: tWR in {number}"
                bank.row, bank.closed = None, now
        elif name in rules.refreshes:
            for number in banks_of(rules, rules.refreshes[name], address):
                bank = banks[number]
                assert bank.row is None, f"{text}: bank {number} is open"
                assert now - bank.closed >= rules.precharge, f"{text}: tRP in {number}"
                bank.refreshed = now
