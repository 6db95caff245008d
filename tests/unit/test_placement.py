"""Algorithm 1 against its closed forms (stratum.md 3.3), policies against each other, capacities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moeram.errors import CapacityError, ConfigError
from moeram.hardware import load_system
from moeram.model import load_model
from moeram.placement import POLICIES, PlacementInput, Plan, RowBudget, bare_budget, place_rows, row_budget

PAIRS = [
    ("olmoe-1b-7b", "stratum_s", 12, 128, 12288),
    ("mixtral-8x7b", "stratum_l", 56, 64, 14336),
    ("llama-4-scout", "stratum_xl", 20, 96, 16320),
]


def budget_of(model, system, **given_options):
    options = {"phi": "compact", "kv_requests": 8, "context_tokens": 2048, "batch": 8, **given_options}
    return row_budget(load_model(model), load_system(system), **options)


def small_budget(layers=2, experts=5, shared=1, top_k=2, delta=3, hole=4, rows=100):
    phi = layers * (experts + shared) * delta + hole
    return RowBudget(
        rows=rows,
        rows_per_expert=delta,
        layers=layers,
        experts=experts,
        shared_experts=shared,
        top_k=top_k,
        phi=phi,
        kv_rows=hole,
        non_nmp_first_row=rows - 1,
        non_nmp_rows=1,
        result_rows=1,
    )


def place(name, budget, usage, topic=0, seed=0):
    return POLICIES[name](PlacementInput(usage=usage, topic=topic, budget=budget, seed=seed, held_out=usage))


@pytest.mark.parametrize(("model", "system", "delta", "hot", "expert_rows"), PAIRS)
def test_published_row_counts(model, system, delta, hot, expert_rows):
    """Delta, tau (with Scout's 48 shared experts) and occupied rows of the table in stratum.md 3.3."""
    budget = budget_of(model, system)
    assert budget.rows_per_expert == delta
    assert budget.hot_count == hot
    assert budget.expert_count * delta == expert_rows
    assert budget.phi == expert_rows + budget.kv_rows


def test_kv_reserve_by_hand():
    """OLMoE: 8 requests x 2048 tokens x 128 KiB = 2 GiB over 256 banks of 4 KiB rows = 2048 rows."""
    assert budget_of("olmoe-1b-7b", "stratum_s").kv_rows == 2048
    assert budget_of("olmoe-1b-7b", "stratum_s", context_tokens=2049).kv_rows == 2049
    assert budget_of("olmoe-1b-7b", "stratum_s", kv_requests=0).kv_rows == 0


def test_result_rows_by_hand():
    """OLMoE, 32 tokens x 2048 x 2 B = 8 KiB per channel: one row in 16 banks of 4 KiB; 512 tokens: two rows."""
    assert budget_of("olmoe-1b-7b", "stratum_s", batch=32).result_rows == 1
    budget = budget_of("olmoe-1b-7b", "stratum_s", batch=512)
    assert (budget.result_rows, budget.result_row) == (2, 32766)


def algorithm_1(frequency, shared, top_k, delta, phi):
    """Algorithm 1 as printed, with i from 1, on (layer, expert) pairs; shared experts before all others (U17)."""
    layers, experts = frequency.shape
    pairs = [(layer, experts + s) for layer in range(layers) for s in range(shared)]
    routed = [(layer, expert) for layer in range(layers) for expert in range(experts)]
    pairs += sorted(routed, key=lambda pair: (-frequency[pair], pair))
    tau, count = (top_k + shared) * layers, len(pairs)
    rows = {}
    for i, pair in enumerate(pairs, start=1):
        rows[pair] = (i - 1) * delta if i <= tau else phi - (count - i + 1) * delta
    return rows, set(pairs[:tau])


@given(
    st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 6), st.integers(0, 2), st.integers(1, 5), st.integers(0, 9)
)
def test_algorithm_1_and_no_overlap(seed, layers, experts, shared, delta, hole):
    rng = np.random.default_rng(seed)
    top_k = int(rng.integers(1, experts + 1))
    budget = small_budget(layers, experts, shared, top_k, delta, hole, rows=1000)
    usage = rng.integers(0, 4, (2, layers, experts)).astype(float)  # few values: ties happen
    plan = place("topic_aware", budget, usage, topic=1)
    rows, hot = algorithm_1(usage[1], shared, top_k, delta, budget.phi)
    for (layer, expert), row in rows.items():
        assert plan.first_row[layer, expert] == row
        assert plan.hot[layer, expert] == ((layer, expert) in hot)
    for name in POLICIES:
        occupied = (place(name, budget, usage).first_row[..., None] + np.arange(delta)).ravel()
        assert len(set(occupied.tolist())) == occupied.size
        assert occupied.min() >= 0 and occupied.max() < budget.phi


@pytest.mark.parametrize(("model", "system", "delta", "hot", "expert_rows"), PAIRS)
@pytest.mark.parametrize("phi", ["compact", "full", 32768])
def test_ends_and_hole(model, system, delta, hot, expert_rows, phi):
    """The hottest fill from row 0, the coldest expert ends at row Phi - 1, the hole between holds the KV reserve."""
    budget = budget_of(model, system, phi=phi)
    rng = np.random.default_rng(1)
    usage = rng.permutation(budget.layers * budget.experts).reshape(1, budget.layers, budget.experts).astype(float)
    plan = place("topic_aware", budget, usage)
    routed = plan.first_row[:, : budget.experts]
    coldest = np.unravel_index(np.argmin(usage[0]), usage[0].shape)
    assert routed[coldest] + delta == budget.phi
    shared_rows = budget.layers * budget.shared_experts * delta
    hottest = np.unravel_index(np.argmax(usage[0]), usage[0].shape)
    assert routed[hottest] == shared_rows
    assert (plan.first_row[:, budget.experts :] < shared_rows).all()
    hot_end = int(plan.first_row[plan.hot].max()) + delta
    cold_begin = int(plan.first_row[~plan.hot].min())
    assert (hot_end, plan.hot.sum()) == (hot * delta, hot)
    assert budget.kv_first_row == hot_end
    assert cold_begin - hot_end >= budget.kv_rows
    assert cold_begin - hot_end == budget.phi - expert_rows
    in_hole = hot_end + budget.kv_rows <= budget.non_nmp_first_row and budget.result_row < cold_begin
    above = budget.non_nmp_first_row >= budget.phi and budget.result_row < budget.rows
    assert in_hole if phi == 32768 else above


def test_full_phi_leaves_the_other_data_at_the_end():
    """OLMoE outside its experts: embedding, head, and per layer Q, K, V, O, router and norms."""
    weights = 2 * 50304 * 2048 + 16 * (4 * 2048**2 + 64 * 2048 + 2 * 2048) + 2048
    rows = -(-weights * 2 // 2**20) + 1
    assert budget_of("olmoe-1b-7b", "stratum_s", phi="full").phi == 32768 - rows


def test_static_is_topic_aware_for_the_mean_topic():
    budget = small_budget()
    rng = np.random.default_rng(2)
    usage = rng.random((3, 2, 5))
    usage /= usage.sum(axis=(1, 2), keepdims=True)
    scaled = usage * np.array([1.0, 1000.0, 7.0])[:, None, None]  # topics count alike, however many tokens were seen
    static = place("static_hot", budget, scaled)
    mean = place("topic_aware", budget, usage.mean(axis=0, keepdims=True))
    assert np.array_equal(static.first_row, mean.first_row)
    assert np.array_equal(static.hot, mean.hot)


def test_a_topic_without_any_token_does_not_spoil_the_others():
    usage = np.random.default_rng(3).random((2, 2, 5))
    usage[1] = 0
    expected = place("topic_aware", small_budget(), usage, topic=0)
    assert np.array_equal(place("static_hot", small_budget(), usage).first_row, expected.first_row)


def test_random_uses_the_same_rows_and_its_seed_only():
    budget = small_budget()
    usage = np.random.default_rng(4).random((2, 2, 5))
    plan = place("random_rows", budget, usage, seed=5)
    ranked = place("topic_aware", budget, usage)
    assert sorted(plan.first_row.ravel()) == sorted(ranked.first_row.ravel())
    assert sorted(plan.first_row[plan.hot]) == sorted(ranked.first_row[ranked.hot])
    again = place("random_rows", budget, usage[::-1], seed=5)
    assert np.array_equal(plan.first_row, again.first_row)
    assert not np.array_equal(plan.first_row, place("random_rows", budget, usage, seed=6).first_row)
    assert not np.array_equal(plan.first_row, place("random_rows", budget, usage, topic=1, seed=5).first_row)


def test_random_gives_every_rank_to_every_expert_alike():
    """Over many seeds the mean first row of each expert is the mean of all rows; 6 sigma."""
    budget = small_budget()
    usage = np.ones((1, 2, 5))
    rows = np.stack([place("random_rows", budget, usage, seed=seed).first_row for seed in range(400)]).reshape(400, -1)
    ranked = place("topic_aware", budget, usage).first_row
    assert np.abs(rows.mean(axis=0) - ranked.mean()).max() < 6 * ranked.std() / 20


def test_no_tiering_has_the_static_rows_one_timing_and_nothing_hot():
    usage = np.random.default_rng(6).random((2, 2, 5))
    plan = place("no_tiering", small_budget(), usage)
    assert plan.hot is None and plan.slowest_tier_everywhere
    assert np.array_equal(plan.first_row, place("static_hot", small_budget(), usage).first_row)
    assert not any(
        place(name, small_budget(), usage).slowest_tier_everywhere for name in POLICIES if name != "no_tiering"
    )


def test_overlapping_or_outside_plans_are_refused():
    good = place("topic_aware", small_budget(), np.ones((1, 2, 5)))
    for row in (good.first_row[0, 1] + 1, -1, good.budget.phi - 2):
        rows = good.first_row.copy()
        rows[0, 0] = row
        with pytest.raises(CapacityError, match="overlap or leave"):
            replace(good, first_row=rows)
    assert isinstance(good, Plan)


def test_a_model_that_does_not_fit():
    """Maverick in bf16: 24 x 129 x 240 MiB = 725.6 GiB of experts, Stratum-XL holds 384 GiB; 24 chips hold it."""
    with pytest.raises(CapacityError) as error:
        budget_of("llama-4-maverick", "stratum_xl")
    for part in ("llama-4-maverick does not fit stratum_xl", "experts 725.6 GiB", "the system holds 384.0 GiB"):
        assert part in str(error.value)
    assert budget_of("llama-4-maverick", "stratum_2xl").rows_per_expert == 10


def test_a_kv_cache_that_does_not_fit():
    with pytest.raises(CapacityError, match=r"KV cache of 200 x 2048 tokens 50.0 GiB"):
        budget_of("olmoe-1b-7b", "stratum_s", kv_requests=200)


@pytest.mark.parametrize("phi", [1, 12288, 32769])
def test_phi_out_of_range(phi):
    with pytest.raises(CapacityError, match=f"phi: given {phi} rows, allowed: 14336 "):
        budget_of("olmoe-1b-7b", "stratum_s", phi=phi)


def test_phi_that_leaves_no_room_for_the_other_data():
    """29696 rows of experts and KV, 911 of other data: above Phi up to 31857, below it from 31858 on."""
    options = {"kv_requests": 17, "context_tokens": 8192}
    assert budget_of("olmoe-1b-7b", "stratum_s", phi=31857, **options).non_nmp_first_row == 31857
    beyond = budget_of("olmoe-1b-7b", "stratum_s", phi=31858, **options)
    assert beyond.non_nmp_first_row == 128 * 12 + 17408
    tight = {"kv_requests": 19, "context_tokens": 8192}  # 12288 + 19456 + 911 = 32655 rows
    with pytest.raises(CapacityError, match=r"allowed: 31744 .* to 31857, 32655 to 32768"):
        budget_of("olmoe-1b-7b", "stratum_s", phi=32000, **tight)


def test_cold_first_reverses_algorithm_1():
    usage = np.array([[[1.0, 5, 3], [2, 9, 0]]])
    budget = bare_budget(layers=2, experts=3, top_k=1)
    given = PlacementInput(usage=usage, topic=0, budget=budget, seed=0)
    cold, hot = place_rows("cold_first", given), place_rows("topic_aware", given)
    assert cold.first_row.tolist() == [[1, 4, 3], [2, 5, 0]]
    assert (cold.first_row + hot.first_row == 5).all()


def test_the_oracle_ranks_by_what_is_held_out_and_nobody_else_sees_it():
    usage, held_out = np.array([[[1.0, 5, 3]]]), np.array([[[9.0, 0, 3]]])
    given = PlacementInput(usage=usage, topic=0, budget=bare_budget(layers=1, experts=3, top_k=1), seed=0)
    with pytest.raises(ConfigError, match="held-out usage is not known"):
        place_rows("oracle_topic", given)
    given = replace(given, held_out=held_out)
    assert place_rows("oracle_topic", given).first_row.tolist() == [[0, 2, 1]]
    assert place_rows("topic_aware", given).first_row.tolist() == [[2, 0, 1]]
