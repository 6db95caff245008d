"""Is what the engine reads exactly what the activated experts hold, everywhere?"""

from __future__ import annotations

import numpy as np
import pytest

from .conftest import CHANNELS, PUBLISHED_ROW_CYCLE_NS, ROW_BYTES, ROWS, SHAPES, TIERS, equal


def random_layers(shape, seed, count, batch):
    """Experts at random disjoint multiples of their rows, some across a tier boundary, with random token counts."""
    rng = np.random.default_rng(seed)
    layers = []
    for _ in range(count):
        places = rng.choice((ROWS - 8) // shape.rows, size=rng.integers(1, 9), replace=False)
        layers.append([(int(place) * shape.rows, int(rng.integers(1, batch + 1))) for place in places])
    return layers


@pytest.fixture(params=SHAPES.values(), ids=SHAPES, scope="module")
def case(request, engine):
    """(shape, layers, answer) of 12 random layers with all channels simulated."""
    layers = random_layers(request.param, 5, 12, 24)
    return request.param, layers, engine.run(layers, batch=24, shape=request.param, reuse_identical_channels=False)


def test_rows_of_algorithm_one(engine):
    """Delta = ceil(S_E / (N_bank S_rb)) = 12, 56, 20 rows (section 3.3), from the engine and from the shapes."""
    deltas = [
        engine.core.NmpConfig(
            hidden_size=shape.hidden_size, intermediate_size=shape.intermediate_size, chips=shape.chips
        ).rows_per_expert
        for shape in SHAPES.values()
    ]
    assert deltas == [12, 56, 20] == [shape.rows for shape in SHAPES.values()]


def test_rows_times_row_bytes_are_the_bytes_of_the_experts(case):
    """rows read x 4096 B x chips = active experts x 3 x hidden x intermediate x 2 B, for every layer; no excess here.

    Every channel holds the same share, so each reads 1 / 16 of it.
    """
    shape, layers, answer = case
    rows = answer["rows_read"]
    for index, layer in enumerate(layers):
        assert rows[index].sum() * ROW_BYTES * shape.chips == len(layer) * shape.expert_bytes
        assert (rows[index].sum(axis=1) * CHANNELS * ROW_BYTES * shape.chips == len(layer) * shape.expert_bytes).all()


def test_rows_of_each_tier_are_those_that_lie_in_it(case):
    """Row r belongs to tier r // 4096; 16 banks a channel; counted here row by row."""
    shape, layers, answer = case
    for index, layer in enumerate(layers):
        touched = np.concatenate([np.arange(first, first + shape.rows) for first, _ in layer])
        wanted = 16 * np.bincount(touched // (ROWS // TIERS), minlength=TIERS)
        assert (answer["rows_read"][index] == wanted).all()
        assert answer["commands"]["ROWRDab"][index] == CHANNELS * len(touched)


def test_multiply_accumulates(case):
    """weight_macs = sum of tokens x 3 x hidden x intermediate / chips."""
    shape, layers, answer = case
    weights = 3 * shape.hidden_size * shape.intermediate_size
    wanted = [sum(tokens for _, tokens in layer) * weights // shape.chips for layer in layers]
    assert answer["weight_macs"].tolist() == wanted


def test_results_are_written_once(case):
    """24 tokens x hidden / 16 x 2 B fit one row of 16 x 4 KB in every channel: one row of tier 8 in each bank."""
    answer = case[2]
    assert (answer["rows_written"][:, :, :-1] == 0).all()
    assert (answer["rows_written"][:, :, -1] == 16).all()


def test_every_row_stands_once_in_the_trace_of_every_channel(engine, read_trace, tmp_path, case):
    """The whole-row reads of each channel's command trace are the rows of the experts in order, once per layer."""
    shape, layers, _ = case
    engine.run(layers[:3], batch=24, shape=shape, trace_dir=str(tmp_path))
    for index, layer in enumerate(layers[:3]):
        wanted = [row for first, _ in layer for row in range(first, first + shape.rows)]
        for channel in range(CHANNELS):
            trace = read_trace(tmp_path / f"layer{index}.ch{channel}")
            assert [row for _, command, row in trace if command == "ROWRDab"] == wanted
            opened = [row for _, command, row in trace if command == "ACTab"]
            assert opened == [*wanted, ROWS - 1]


@pytest.mark.parametrize("options", [{"threads": 2}, {"skip": False}, {"reuse_identical_channels": True}, {}])
def test_results_do_not_depend_on_how_they_are_simulated(engine, case, options):
    """Two runs, two threads, no skipping, one channel standing for sixteen: the same arrays."""
    shape, layers, answer = case
    assert equal(engine.run(layers, batch=24, shape=shape, **options), answer)


def test_tier_time_is_the_row_cycles_of_each_tier(engine):
    """With one token a row, each row is the present one for its tier's tRC: rows x tRC, within 0.5 %."""
    layer = [(tier * 4096, 1) for tier in range(TIERS)] * 3
    answer = engine.run([layer], batch=1)
    wanted_ps = 36 * 1e3 * np.array(PUBLISHED_ROW_CYCLE_NS)
    got = answer["tier_time_ps"][0].astype(float)
    # The result row, in tier 8, is open for nRCD + the stream + the way out: less than 100 ns.
    assert got[:-1] == pytest.approx(wanted_ps[:-1], rel=0.005)
    assert wanted_ps[-1] * 0.995 <= got[-1] <= wanted_ps[-1] * 1.005 + 100e3
