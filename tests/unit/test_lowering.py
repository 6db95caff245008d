"""Lowering against a loop in plain Python."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from moeram.hardware import layer_rows_by_tier, lower, rows_by_tier, tokens_per_expert

TIER_ROWS = np.arange(0, 32769, 4096)


def random_case(seed, draws=3, batch=4, layers=2, experts=5, shared=1, top_k=2):
    rng = np.random.default_rng(seed)
    picks = np.argsort(rng.random((draws, batch, layers, experts)), axis=-1)[..., :top_k].astype(np.int16)
    rows = rng.permutation(layers * (experts + shared)).reshape(layers, experts + shared).astype(np.int32) * 10
    return rows, picks


@given(st.integers(0, 2**32), st.integers(0, 2), st.integers(1, 6))
def test_against_a_plain_loop(seed, shared, batch):
    rows, picks = random_case(seed, batch=batch, shared=shared)
    work = lower(rows, picks, shared_experts=shared)
    expected = []
    for draw in picks.tolist():
        for layer in range(2):
            used = [expert for token in draw for expert in token[layer]]
            entries = [(5 + s, int(rows[layer, 5 + s]), batch) for s in range(shared)]
            entries += [(e, int(rows[layer, e]), used.count(e)) for e in sorted(set(used))]
            expected.append(entries)
    assert work.layers == len(expected) and work.batch == batch
    for layer, entries in enumerate(expected):
        part = slice(work.layer_begin[layer], work.layer_begin[layer + 1])
        columns = (work.expert[part].tolist(), work.first_row[part].tolist(), work.tokens[part].tolist())
        assert list(zip(*columns, strict=True)) == entries
    assert work.layer_begin[-1] == len(work.expert)


def test_types_and_order():
    rows, picks = random_case(1, shared=2)
    work = lower(rows, picks, shared_experts=2)
    assert work.layer_begin.dtype == np.int64
    assert {work.expert.dtype, work.first_row.dtype, work.tokens.dtype} == {np.dtype(np.int32)}
    assert work.expert[:2].tolist() == [5, 6]


def test_each_draw_may_have_its_own_plan():
    rows, picks = random_case(2)
    own = np.stack([rows, rows + 1000, rows + 2000])
    work = lower(own, picks, shared_experts=1)
    alone = [lower(own[i], picks[i : i + 1], shared_experts=1).first_row for i in range(3)]
    assert np.array_equal(work.first_row, np.concatenate(alone))


def test_an_expert_id_out_of_range_is_caught():
    _, picks = random_case(3)
    picks[-1, -1, -1, -1] = 5
    try:
        tokens_per_expert(picks, 5)
    except AssertionError:
        return
    raise AssertionError("not caught")


@given(st.lists(st.integers(0, 32768 - 56), min_size=1, max_size=8), st.integers(1, 56))
def test_rows_by_tier_against_counting_rows(first, count):
    found = rows_by_tier(np.array(first), count, TIER_ROWS)
    for row, counts in zip(first, found, strict=True):
        assert counts.tolist() == np.bincount(np.arange(row, row + count) // 4096, minlength=8).tolist()


def test_layer_rows_by_tier_sums_over_the_experts_of_a_layer():
    rows, picks = random_case(4)
    work = lower(rows * 400, picks, shared_experts=1)
    found = layer_rows_by_tier(work, 12, TIER_ROWS)
    per_expert = rows_by_tier(work.first_row, 12, TIER_ROWS)
    for layer in range(work.layers):
        part = slice(work.layer_begin[layer], work.layer_begin[layer + 1])
        assert found[layer].tolist() == per_expert[part].sum(axis=0).tolist()
