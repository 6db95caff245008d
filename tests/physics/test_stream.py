"""Streams of reads and writes: exact reuse changes nothing, and what the bus allows is what comes out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moeram.errors import CapacityError, ConfigError
from moeram.hardware.stream import Stream, StreamMemory, StreamOptions, StreamTimes, run_streams

PLAIN = StreamOptions(fold=False, reuse_identical_channels=False, threads=1)
MEMORIES = (
    StreamMemory(standard="HBM3", organization="HBM3_8Gb", timing="HBM3_2Gbps", sizes={"channel": 2}),
    StreamMemory(standard="HBM2", organization="HBM2_8Gb", timing="HBM2_2Gbps", stacks=3),
    StreamMemory(standard="HBM3@2.1", organization="HBM3_16Gb_8hi", timing="HBM3_6400Mbps", interleave="bankgroup"),
    StreamMemory(standard="HBM3@2.1", organization="HBM3_16Gb_8hi", timing="HBM3_6400Mbps", refresh="PerBank"),
    StreamMemory(standard="LPDDR5@2.1", organization="LPDDR5_16Gb_x16", timing="LPDDR5_6400", sizes={"rank": 2}),
    StreamMemory(standard="DDR3", organization="DDR3_8Gb_x16", timing="DDR3_2133M"),
    StreamMemory(standard="DDR4", organization="DDR4_8Gb_x8", timing="DDR4_2400R", sizes={"rank": 2}),
    StreamMemory(standard="DDR5", organization="DDR5_16Gb_x8", timing="DDR5_3200AN", sizes={"channel": 2}),
    StreamMemory(
        standard="DDR5", organization="DDR5_16Gb_x8", timing="DDR5_3200AN", energy=True, voltage="Default", current="Default"
    ),
)  # fmt: skip
TRANSACTION_BYTES = {"HBM3": 16, "HBM2": 16, "HBM3@2.1": 32, "LPDDR5@2.1": 32, "DDR3": 64, "DDR4": 64, "DDR5": 64}


def results(times: StreamTimes) -> dict[str, object]:
    """Everything that exact reuse may not change, channel by channel."""
    kind = times.kind_of_channel[times.kind_of_channel >= 0]
    tables = {
        **{f"{name} (statistic)": values for name, values in times.statistics.items()},
        **times.commands,
        **times.energy_nj,
        "cycles": times.kind_cycles,
        "reads": times.reads,
        "writes": times.writes,
    }
    return {name: values[kind].tolist() for name, values in tables.items()} | {"last cycle": times.cycles}


@st.composite
def stream_runs(draw):
    memory = draw(st.sampled_from(MEMORIES))
    transaction = TRANSACTION_BYTES[memory.standard]
    if memory.standard.startswith("DDR") and not draw(st.booleans()):
        memory = replace(memory, refresh="None")
    if not memory.interleave:
        memory = replace(memory, mapper=draw(st.sampled_from(["RoBaRaCoCh", "RoBaRaCoCh", "ChRaBaRoCo"])))
    steps = st.sampled_from([1, 1, 1, 2, 3, 16, 64, 160])
    streams = []
    for group in range(draw(st.integers(1, 3))):
        step = draw(steps)
        for _ in range(draw(st.integers(1, 3))):
            own = draw(st.sampled_from([step, step, step, draw(steps)])) * transaction
            streams.append(
                Stream(
                    base_bytes=draw(st.integers(0, 1 << 16)) * transaction,
                    extent_bytes=own * draw(st.integers(1, 40_000)),
                    stride_bytes=own,
                    kind=draw(st.sampled_from(["read", "read", "write"])),
                    group=group,
                )
            )
    # The standards of 2.0 without ranks are never refreshed, the phase is nothing to them.
    phase = draw(st.integers(0, 200 if memory.refresh == "PerBank" else 3000)) if memory.refresh != "None" else 0
    return streams, memory, draw(st.sampled_from([0, 0, 0, 5, 30])), phase


@settings(max_examples=40, deadline=None)
@given(stream_runs())
def test_folding_and_identical_channels_change_nothing(case):
    streams, memory, interval, phase = case
    plain = replace(PLAIN, interval_cycles=interval, refresh_phase_cycles=phase)
    expected = results(run_streams(streams, memory, plain))
    assert results(run_streams(streams, memory, replace(plain, fold=True))) == expected
    everything = StreamOptions(interval_cycles=interval, refresh_phase_cycles=phase, threads=2)
    assert results(run_streams(streams, memory, everything)) == expected


@pytest.mark.parametrize("memory", MEMORIES, ids=lambda memory: f"{memory.standard}-{memory.refresh}-{memory.energy}")
def test_a_million_reads_fold(memory):
    # A DDR4 channel comes back to its state only after as many refresh intervals as a row has bursts.
    streams = [Stream(base_bytes=0, extent_bytes=1_000_000 * TRANSACTION_BYTES[memory.standard])]
    times = run_streams(streams, memory)
    assert times.requests == 1_000_000
    print(f"{memory.standard}, {memory.refresh}: {times.folded_share:.1%} of a million reads folded")  # pytest -rP shows it
    assert times.folded_share > 0.5
    assert results(times) == results(run_streams(streams, memory, PLAIN))


def test_refresh_takes_its_share_of_the_time():
    # DDR4 of 8 Gb: one refresh of 350 ns every 7.8 us, after which all rows are closed:
    # the next visit of each of the 16 banks then saves up to nRP = 13.3 ns.
    memory = StreamMemory(standard="DDR4", organization="DDR4_8Gb_x8", timing="DDR4_2400R")
    streams = [Stream(base_bytes=0, extent_bytes=64 * 4_000_000)]
    refreshed = run_streams(streams, memory)
    alone = run_streams(streams, replace(memory, refresh="None"))
    assert abs(refreshed.commands["REFab"][0] - refreshed.time_ps / 7_800_000) < 1.5
    lost = 1 - alone.cycles / refreshed.cycles
    assert (350 - 16 * 13.3) / 7800 < lost < 1.2 * 350 / 7800
    assert alone.commands["REFab"][0] == 0
    assert alone.commands["RD"][0] == 4_000_000 and alone.statistics["read_row_hits"][0] > 0.98 * 4_000_000


def test_a_stream_reaches_the_bus_and_the_bytes_add_up():
    memory = StreamMemory(
        standard="HBM3", organization="HBM3_8Gb", timing="HBM3_2Gbps", sizes={"channel": 16}, stacks=10
    )
    times = run_streams([Stream(base_bytes=0, extent_bytes=1 << 31)], memory)
    assert times.total_bytes == 1 << 31
    assert len(times.kind_of_channel) == 160 and len(times.reads) <= 3
    # Two pseudo channels, each a burst of 16 bytes every nBL = 4 cycles of 1 ns.
    assert 0.99 * 160 * 8 < times.gb_per_s <= 160 * 8
    assert times.folded_share > 0.99


def test_channels_that_get_nothing_are_told_apart():
    memory = replace(MEMORIES[0], sizes={"channel": 4})
    times = run_streams([Stream(base_bytes=16, extent_bytes=32, kind="write")], memory)
    assert times.kind_of_channel.tolist() == [-1, 0, 0, -1]
    assert times.writes.tolist() == [1] and times.total(times.commands)["WR"] == 2


def test_energy_follows_the_counts():
    memory = MEMORIES[-1]
    times = run_streams([Stream(base_bytes=0, extent_bytes=64 * 100_000)], memory)
    assert (times.energy_nj["active_cycles"] + times.energy_nj["idle_cycles"]).sum() <= times.cycles
    assert times.energy_nj["commands"].sum() > 0 and np.isfinite(times.energy_nj["background"]).all()


@pytest.mark.parametrize(
    ("stream", "memory", "error", "says"),
    [
        (Stream(base_bytes=8, extent_bytes=64), MEMORIES[0], ConfigError, "whole transactions of 16 bytes"),
        (Stream(base_bytes=0, extent_bytes=0), MEMORIES[0], ConfigError, "extent"),
        (Stream(base_bytes=1 << 40, extent_bytes=64), MEMORIES[0], CapacityError, "do not fit"),
        (Stream(base_bytes=0, extent_bytes=64, kind="raed"), MEMORIES[0], ConfigError, "raed"),
        (Stream(base_bytes=0, extent_bytes=64), replace(MEMORIES[0], mapper="RoBaRaCoC"), ConfigError, "RoBaRaCoCh"),
        (Stream(base_bytes=0, extent_bytes=64), replace(MEMORIES[0], standard="HBM4"), ConfigError, "HBM"),
        (Stream(base_bytes=0, extent_bytes=64), replace(MEMORIES[0], stacks=0), ConfigError, "stack"),
    ],
)
def test_what_no_memory_can_be_asked_is_refused(stream, memory, error, says):
    with pytest.raises(error, match=says):
        run_streams([stream], memory)
