"""Random walks: the engine's device beside the plain, slow model, at every step the same answers."""

from __future__ import annotations

import random

import pytest
from slow_device import SlowDevice
from subjects import NAMES, Subject, patient, subject

STEPS = 160


class Difference(Exception):
    """The engine and the model disagree."""


def compare(engine, model: SlowDevice, command: str, address: list[int]) -> None:
    if engine.ready_at(command, address) != model.ready_at(command, address):
        raise Difference(
            f"{command} {address} is ready at {engine.ready_at(command, address)}, expected {model.ready_at(command, address)}"
        )


def issue(engine, model: SlowDevice, command: str, address: list[int], now: int) -> None:
    engine.issue(command, address, now)
    model.issue(command, address, now)


def visible(subject: Subject) -> list[str]:
    internal = {entry["apply"] for entry in subject.data["behaviour"].get("delayed", {}).values()}
    return [name for name in subject.data["commands"] if name not in internal]


def wild_walk(tested: Subject, seed: int, steps: int = STEPS) -> None:
    """Any command at any time: only the timing rows matter, and every one of them comes to bear."""
    draw = random.Random(seed)
    engine, model, now = tested.probe(), SlowDevice(tested.slow), 0
    commands = visible(tested)
    for _ in range(steps):
        now += draw.choice([0, 1, 1, 2, 5, 20]) + 1
        command = draw.choice(commands)
        issue(engine, model, command, tested.address(command, draw), now)
        for asked in draw.choices(commands, k=6):
            compare(engine, model, asked, tested.address(asked, draw))


def lawful_walk(tested: Subject, seed: int, steps: int = STEPS) -> int:
    """Requests served one after the other: the first missing command, at its first or a later cycle. Returns how many ended."""
    draw = random.Random(seed)
    engine, model, now, served = tested.probe(), SlowDevice(tested.slow), 0, 0
    wishes = [name for name in tested.data["requests"].values() if name in visible(tested)]
    wish, address = draw.choice(wishes), None
    for _ in range(steps):
        address = address or tested.address(wish, draw)
        for watched in draw.choices(wishes, k=3):
            other = tested.address(watched, draw)
            if engine.prerequisite(watched, other) != model.prerequisite(watched, other):
                raise Difference(
                    f"{watched} {other}: {engine.prerequisite(watched, other)}, expected {model.prerequisite(watched, other)}"
                )
        command = engine.prerequisite(wish, address)
        if command != model.prerequisite(wish, address):
            raise Difference(f"{wish} {address} wants {command}, expected {model.prerequisite(wish, address)}")
        compare(engine, model, command, address)
        now = max(now + 1, engine.ready_at(command, address)) + draw.choice([0, 0, 0, 3, 40])
        for device in (engine, model):
            device.tick(now)
        if engine.prerequisite(wish, address) != command:
            continue  # a refresh ended or a clock fell out of step meanwhile
        issue(engine, model, command, address, now)
        if command == wish:
            served += 1
            wish, address = draw.choice(wishes), None
    return served


@pytest.mark.parametrize("last", [False, True], ids=["first presets", "last presets"])
@pytest.mark.parametrize("name", NAMES)
def test_wild_walk(name, last, tmp_path):
    for seed in range(2):
        wild_walk(patient(subject(name, last), tmp_path), seed)


@pytest.mark.parametrize("last", [False, True], ids=["first presets", "last presets"])
@pytest.mark.parametrize("name", NAMES)
def test_lawful_walk(name, last, tmp_path):
    assert sum(lawful_walk(patient(subject(name, last), tmp_path), seed) for seed in range(2)) > STEPS / 4


def row_by_row(tested: Subject, seed: int) -> None:
    """A walk that visits every row in some order: a pause, as many preceding commands as the row counts, then the question."""
    draw = random.Random(seed)
    engine, model, now = tested.probe(), SlowDevice(tested.slow), 0
    commands = visible(tested)
    quiet = max(row.latency for row in tested.slow.rows)
    for row in draw.sample(tested.slow.rows, len(tested.slow.rows)):
        if row.following not in commands or row.preceding not in commands:
            continue
        first = tested.address(row.preceding, draw)
        now += quiet
        for _ in range(row.window):
            now += 1
            issue(engine, model, row.preceding, first, now)
        second = tested.meeting(first, row.following, draw)
        for level in range(row.level + 1, tested.slow.bank_level + 1):  # apart below, or a deeper row hides this one
            second = tested.beside(second, level) or second
        second = tested.beside(second, row.level) if row.sibling else second
        if second is not None:
            compare(engine, model, row.following, second)


@pytest.mark.parametrize("last", [False, True], ids=["first presets", "last presets"])
@pytest.mark.parametrize("name", NAMES)
def test_row_by_row(name, last, tmp_path):
    row_by_row(patient(subject(name, last), tmp_path), 0)


def hidden(rows: list, changed) -> bool:
    """True if a row of the same commands on the same or a higher level holds at least as long whenever this one does."""
    return changed.latency <= 0 or any(
        (row.preceding, row.following) == (changed.preceding, changed.following)
        and not row.sibling and row.level <= changed.level and row.window <= changed.window and row.latency >= changed.latency
        for row in rows
    )  # fmt: skip


@pytest.mark.parametrize("name", ["DDR4@2.0", "HBM3@2.0", "LPDDR5@2.0", "HBM4@2.1", "LPDDR5@2.1"])
def test_a_changed_row_is_caught(name, tmp_path):
    """One row one cycle longer in the model alone: the walk sees every such change that is not hidden by another row."""
    tested, tried, unseen = patient(subject(name, last=True), tmp_path), 0, []
    for number, row in enumerate(tested.slow.rows):
        row.latency += 1
        if row.level <= tested.scope(row.following) and not hidden(
            tested.slow.rows[:number] + tested.slow.rows[number + 1 :], row
        ):
            tried += 1
            if not walk_differs(tested):
                unseen.append(row)
        row.latency -= 1
    assert tried > 40 and not unseen, unseen


def walk_differs(tested: Subject) -> bool:
    try:
        for seed in range(4):
            row_by_row(tested, seed)
    except Difference:
        return True
    return False
