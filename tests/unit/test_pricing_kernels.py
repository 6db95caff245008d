"""The compiled kernels that price a step against what NumPy and plain loops say."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from moeram.errors import EngineError
from moeram.hardware.cycle import load_core
from moeram.hardware.network import TOPOLOGIES, Network, Topology
from moeram.schedule.groups import TokenGroups

shapes = st.tuples(st.integers(1, 5), st.integers(1, 9))
tokens_of_experts = shapes.flatmap(lambda shape: st_numpy.arrays(np.int64, shape, elements=st.integers(0, 200)))


@given(tokens_of_experts)
def test_groups_are_the_experts_counted_by_tokens(tokens):
    groups = TokenGroups(tokens)
    for row, counts in enumerate(tokens.tolist()):
        expected = sorted(Counter(count for count in counts if count).items())
        here = slice(*groups.begin[row : row + 2])
        assert list(zip(groups.tokens[here].tolist(), groups.experts[here].tolist(), strict=True)) == expected
        assert (groups.decision[here] == row).all()
    assert groups.activated == np.count_nonzero(tokens)


@given(tokens_of_experts, st.integers(0, 2**32 - 1))
def test_some_experts_are_counted_in_their_groups(tokens, seed):
    some = np.random.default_rng(seed).random(tokens.shape) < 0.5
    groups = TokenGroups(tokens)
    expected = [int((some[row] & (tokens[row] == count)).sum()) for row, count in zip(groups.decision, groups.tokens, strict=True)]
    assert groups.counted(tokens * some).tolist() == expected


@given(tokens_of_experts, st.integers(0, 2**32 - 1))
def test_sums_of_a_decision_are_those_of_its_experts(tokens, seed):
    rng, groups = np.random.default_rng(seed), TokenGroups(tokens)
    kept = rng.integers(0, groups.experts + 1)
    tables, kept_ps = rng.random((2, int(tokens.max()) + 1)), rng.random(len(kept))
    found = groups.sums_ps(kept, *tables, kept_ps)
    for sums, each in zip(found, (*((groups.experts - kept) * table[groups.tokens] for table in tables), kept_ps), strict=True):
        assert np.allclose(sums, np.bincount(groups.decision, weights=each, minlength=len(tokens)), rtol=1e-12, atol=0)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_a_chain_runs_through_the_layers_of_its_gpu(layers, gpus, seed):
    rng = np.random.default_rng(seed)
    groups = TokenGroups(rng.integers(0, 6, (layers * gpus, 7)))
    kept = rng.integers(0, groups.experts + 1)
    ends, lengths = groups.chains(kept, gpus)
    for gpu in range(gpus):
        mine = groups.decision % gpus == gpu
        assert ends[mine].tolist() == np.cumsum((kept * groups.tokens)[mine]).tolist()
        assert lengths[gpu] == (kept * groups.tokens)[mine].sum()


@given(st.integers(0, 40), st.sampled_from([np.uint8, np.uint16, np.uint32]), st.integers(0, 2**32 - 1))
def test_lines_of_a_pool_are_counted(chosen, number, seed):
    rng = np.random.default_rng(seed)
    pool, lines = rng.integers(0, 30, (8, 5), dtype=number), rng.integers(0, 8, chosen)
    counts = np.arange(30)
    load_core().count_lines(pool, lines, counts)
    assert counts.tolist() == (np.arange(30) + np.bincount(pool[lines].ravel(), minlength=30)).tolist()


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 1e12)), max_size=30), st.floats(0.01, 1), st.integers(0, 2**32 - 1))
def test_learnt_times_are_means_that_move_the_table(measured, weight, seed):
    rng = np.random.default_rng(seed)
    table = np.where(rng.random(21) < 0.5, np.nan, rng.random(21) * 1e12)
    expected = table.copy()
    for count in {count for count, _ in measured}:
        mean = np.mean([time for other, time in measured if other == count])
        expected[count] = mean if np.isnan(table[count]) else (1 - weight) * table[count] + weight * mean
    tokens, times = np.array([count for count, _ in measured], dtype=np.int64), np.array([time for _, time in measured])
    load_core().learn(table, tokens, times, weight)
    assert np.allclose(table, expected, rtol=1e-12, atol=0, equal_nan=True)


@given(tokens_of_experts, st.integers(0, 2**32 - 1))
def test_kept_groups_are_told_apart(tokens, seed):
    rng, groups = np.random.default_rng(seed), TokenGroups(tokens)
    kept = rng.integers(0, groups.experts + 1)
    kept_ps = kept * rng.random(len(kept))
    found, each_ps = groups.each_kept(kept, kept_ps)
    assert found.tolist() == groups.tokens[kept > 0].tolist()
    assert each_ps.tolist() == (kept_ps[kept > 0] / kept[kept > 0]).tolist()


def test_what_does_not_fit_is_refused():
    core, groups = load_core(), TokenGroups(np.array([[1, 3]]))
    pool, counts = np.zeros((2, 3), dtype=np.uint16), np.zeros((1, 4), dtype=np.int64)
    with pytest.raises(EngineError, match="no line 2 among 2"):
        core.count_lines(pool, np.array([2]), counts)
    with pytest.raises(EngineError, match="no expert 7 among 4"):
        core.count_lines(pool + np.uint16(7), np.array([0]), counts)
    with pytest.raises(EngineError, match="fewer than 0 tokens"):
        TokenGroups(np.array([[1, -1]]))
    short, rows = np.ones(3), (np.zeros(1),) * 4
    with pytest.raises(EngineError, match="ends before their tokens"):
        groups.greedy_prefix((short, short, short), rows)
    with pytest.raises(EngineError, match=r"times of decisions must be \[rows\]"):
        groups.greedy_prefix((np.ones(4),) * 3, (np.zeros(2),) * 4)
    with pytest.raises(EngineError, match="ends before the tokens"):
        core.learn(np.zeros(2), np.array([2]), np.ones(1), 0.5)


@pytest.mark.parametrize("kind", TOPOLOGIES)
@pytest.mark.parametrize("mode", ["closed", "event"])
def test_even_exchanges_are_exchanges_of_whole_matrices(kind, mode):
    nodes = 6
    top = Topology(topology=kind, nodes=nodes, columns=3 if kind == "mesh" else None, link_gb_per_s=450, latency_ns=800)
    rng = np.random.default_rng(5)
    received = rng.integers(0, 4_000_000, (7, nodes)) * rng.integers(0, 2, (7, nodes))
    received[0] = 0
    matrix = np.repeat(received[:, None, :] / nodes, nodes, axis=1)
    found, network = Network(top, mode).even_exchanges(received), Network(top, mode)
    assert np.array_equal(found.there_ps, network.exchange_ps(matrix))
    assert np.array_equal(found.back_ps, network.exchange_ps(matrix.swapaxes(1, 2)))
    assert found.energy_pj == pytest.approx(2 * network.exchange_pj(matrix), rel=1e-12)
    by_rows, by_matrices = Network(top), Network(top)
    by_rows.even_exchanges(received)
    by_matrices.exchange_ps(matrix)
    by_matrices.exchange_ps(matrix.swapaxes(1, 2))
    assert by_rows.error() == by_matrices.error()
