"""Do ring, partial sums, special functions and links take their closed forms, and do the bounds hold for any layer?"""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import OLMOE, PUBLISHED_ROW_CYCLE_NS, ROWS, SHAPES, TIERS, equal

LAYER = [(0, 7), (9000, 1), (20000, 16), (31000, 3)]
BATCH = 21


def ring_ns(slice_bytes: int) -> int:
    """Half the ring of 16: 8 hops of slice / 128 B cycles and two cycles of router and wire, 1 GHz (U7)."""
    return 8 * (ceil(slice_bytes / 128) + 2)


def closed_forms_ns(shape) -> dict[str, float]:
    """Busy times of one layer. Per processing unit: L = intermediate / (16 chips) columns, hidden / 16 outputs.

    partial sums: 16 a cycle, for gate and up (U9); SiLU 12 and Hadamard 1 cycle a 256-wide vector (U10); weighted sum 2;
    tensor cores: 512 B of weights a cycle and token (U8); links 51.2 GB/s a channel; slices of two-byte activations.
    """
    local = ceil(shape.intermediate_size / (16 * shape.chips))
    outputs = ceil(shape.hidden_size / 16)
    tokens = [count for _, count in LAYER]
    return {
        "link_in": BATCH * outputs * 2 / 51.2,
        "link_out": BATCH * outputs * 2 / 51.2,
        "all_gather": ring_ns(BATCH * outputs * 2),
        "reduce_scatter": sum(ring_ns(count * outputs * 2) for count in tokens),
        "reducer": sum(2 * ceil(count * local / 16) for count in tokens),
        "sfe": sum(ceil(count * local / 256) * 13 for count in tokens),
        "weighted_sum": sum(ceil(count * outputs / 256) * 2 for count in tokens),
        "tensor": sum(tokens) * shape.rows * 8,
    }


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_busy_times_are_their_closed_forms(engine, shape):
    """Exact to the nanosecond clock; links rounded up to 25 ps; tensor cores at most one block a piece of a shared row more.

    Where two matrices share a row (Mixtral: 56 rows for three matrices), each piece rounds up to whole 512-byte blocks.
    """
    answer = engine.run([LAYER], batch=BATCH, shape=shape)
    for name, wanted_ns in closed_forms_ns(shape).items():
        got_ns = answer["busy_ps"][name][0] / 1e3
        if name.startswith("link"):
            assert wanted_ns <= got_ns + 1e-9 and got_ns < wanted_ns + 0.026, name
        elif name == "tensor":
            assert wanted_ns <= got_ns <= wanted_ns + 2 * sum(count for _, count in LAYER), name
        else:
            assert got_ns == wanted_ns, name


def test_halving_the_ring_doubles_its_time(engine):
    """U7 asks for the check: with 64 B a cycle the transfer part of each hop doubles."""
    whole = engine.run([LAYER], batch=BATCH)
    half = engine.run([LAYER], batch=BATCH, options={"ring_bytes_per_cycle": 64})
    hops_ns = 8 * 2
    for name, passes in (("all_gather", 1), ("reduce_scatter", len(LAYER))):
        fixed = passes * hops_ns * 1000
        assert half["busy_ps"][name][0] - fixed == 2 * (whole["busy_ps"][name][0] - fixed)
    assert half["time_ps"][0] >= whole["time_ps"][0]


@pytest.mark.parametrize(
    ("change", "moved_ps"),
    [
        ({"mode_switch_ns": 150.0}, 100_000),
        ({"channel_io_gb_per_s": 25.6}, 2 * 80_000),
        ({"ring_hop_cycles": 3}, 2 * 8_000),
    ],
    ids=["mode switch", "link", "ring hop"],
)
def test_ends_of_a_compute_bound_expert_move_one_to_one(engine, change, moved_ps):
    """Switch twice; link of 16 x 128 x 2 B / 51.2 = 80 ns twice; ring of 8 hops at both ends: nothing hides them."""
    base = engine.run([[(0, 16)]], batch=16)["time_ps"][0]
    assert engine.run([[(0, 16)]], batch=16, options=change)["time_ps"][0] - base == moved_ps


def row_cycles_ns(layer: list[tuple[int, int]]) -> float:
    """Sum of the published row cycles of all rows that the experts lie in."""
    tiers = [(first + row) * TIERS // ROWS for first, _ in layer for row in range(OLMOE.rows)]
    return float(np.array(PUBLISHED_ROW_CYCLE_NS)[tiers].sum())


layers_of_experts = st.lists(
    st.tuples(st.integers(0, ROWS - 1 - OLMOE.rows), st.integers(1, 20)), min_size=1, max_size=6
)


@settings(max_examples=40, deadline=None, database=None, derandomize=True)
@given(layer=layers_of_experts, latches=st.integers(1, 3))
def test_time_lies_between_its_bounds(engine, layer, latches):
    """max(sum of tRC of the rows, 8 ns x rows x tokens) <= time <= everything one after the other.

    Above: row cycles + all busy times + two mode switches + the result row's cycle (tier 8 and 8 ns of stream, 64 ns) and,
    rounding up 25 ps a row, 0.1 %.
    """
    answer = engine.run([layer], batch=20, options={"row_latches": latches})
    time_ns = answer["time_ps"][0] / 1e3
    rows_ns = row_cycles_ns(layer)
    tensor_ns = 8 * OLMOE.rows * sum(tokens for _, tokens in layer)
    assert time_ns >= max(rows_ns * 0.9995, tensor_ns)
    busy_ns = sum(int(value[0]) for value in answer["busy_ps"].values()) / 1e3
    assert time_ns <= rows_ns * 1.001 + busy_ns + 200 + 64


@settings(max_examples=20, deadline=None, database=None, derandomize=True)
@given(
    layers=st.lists(layers_of_experts, min_size=2, max_size=3),
    switches=st.tuples(*[st.booleans()] * 4),
    latches=st.integers(1, 3),
)
def test_any_layer_is_the_same_however_it_is_simulated(engine, layers, switches, latches):
    """Threads, skipping and reuse of identical channels change nothing, with any overlap and number of latches."""
    names = ("overlap_all_gather", "overlap_silu", "overlap_reduce_scatter", "overlap_weighted_sum")
    options = {**dict(zip(names, switches, strict=True)), "row_latches": latches}
    base = engine.run(layers, batch=20, options=options)
    other = engine.run(layers, batch=20, options=options, threads=2, skip=False, reuse_identical_channels=False)
    assert equal(base, other)


@settings(max_examples=20, deadline=None, database=None, derandomize=True)
@given(layer=layers_of_experts)
def test_overlap_never_makes_a_layer_slower(engine, layer):
    """Each switch off can only add time, and the busy times of the tensor cores stay."""
    base = engine.run([layer], batch=20)
    for name in ("overlap_silu", "overlap_reduce_scatter", "overlap_weighted_sum", "overlap_all_gather"):
        off = engine.run([layer], batch=20, options={name: False})
        assert off["time_ps"][0] >= base["time_ps"][0]
        assert off["busy_ps"]["tensor"][0] == base["busy_ps"]["tensor"][0]
