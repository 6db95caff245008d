"""Does each timing row, alone, refuse its following command one tick early and let it go on time?

The rows come from the data files, one standard at a time with all other rows taken out, so that no row hides behind another.
"""

from __future__ import annotations

import random

from slow_standard import calculate

ISSUED = 1000


def keep_only(number: int):
    def change(data: dict) -> None:
        data["timing"]["constraints"] = [data["timing"]["constraints"][number]]
        for command in data["commands"].values():
            command.pop("bus_cycles", None)  # or the bus adds rows of its own
        data["behaviour"].get("two_step_opening", {}).pop("deadline", None)

    return change


def check_row(alone, preceding: str, draw: random.Random) -> int:
    """One preceding command of the only row; returns how many following commands it held."""
    probe, first, bound = alone.probe(), alone.address(preceding, draw), 0
    rows = [row for row in alone.slow.rows if row.preceding == preceding]
    seconds = [alone.meeting(first, row.following, draw) for row in rows]
    for issue in range(rows[0].window):
        assert not any(probe.ready_at(row.following, at) for row, at in zip(rows, seconds, strict=True)), (
            "bound too early"
        )
        probe.issue(preceding, first, ISSUED + issue)
    for row, there in zip(rows, seconds, strict=True):
        binds = row.level <= alone.scope(row.following) and row.latency > 0
        held = ISSUED + row.latency if binds else 0
        elsewhere = alone.beside(there, row.level) if row.level > 0 and first[row.level] >= 0 else None
        if row.sibling:
            there, elsewhere = elsewhere, there
        if there is not None:
            ready = probe.ready_at(row.following, there)
            assert ready == held if binds else ready <= ISSUED, (row, first, there)
            bound += binds
        if elsewhere is not None:
            assert probe.ready_at(row.following, elsewhere) == 0, (row, first, elsewhere)
    return bound


def test_every_row_alone(standard, tmp_path):
    """The engine's ready time is the issue plus the row's cycles; other nodes of the level are free, siblings the reverse."""
    draw = random.Random(1)
    bound = total = 0
    for number, (_, before, after, *_) in enumerate(standard.data["timing"]["constraints"]):
        alone = standard.changed(tmp_path, keep_only(number))
        bound += sum(check_row(alone, preceding, draw) for preceding in before)
        total += len(before) * len(after)
    assert bound > 0.6 * total


def test_the_rows_are_read_right(standard):
    """Latencies and timing parameters of the engine equal those that the tests' own reading of the file gives."""
    facts = standard.probe().facts()
    assert facts["timing"] == standard.slow.values
    rows = [
        (standard.slow.levels[row.level], row.preceding, row.following, row.latency, row.window, row.sibling)
        for row in standard.slow.rows
    ]
    assert sorted(map(tuple, facts["rows"])) == sorted(rows)
    assert facts["read_latency_cycles"] == calculate(standard.data["timing"]["read_latency"], standard.slow.names, None)
