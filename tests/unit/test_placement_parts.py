"""Placement on parts: EPLB's documented example, an independent writing of it, rules of plans, bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moeram.errors import CapacityError, ConfigError, TraceError
from moeram.model import load_model
from moeram.placement import PART_POLICIES, PartBudget, PartInput, PartPlan, part_budget, place_on_parts
from moeram.placement.pairs import count_pairs
from moeram.placement.parts.milp import solve

HEURISTICS = sorted(set(PART_POLICIES) - {"milp"})


def made(name, usage, pairs=None, **budget):
    usage = np.asarray(usage, dtype=float)
    budget = PartBudget(layers=usage.shape[0], experts=usage.shape[1], **budget)
    return PART_POLICIES[name](PartInput(usage=usage, budget=budget, pairs=pairs))


def random_pairs(rng, layers, experts):
    pairs = rng.integers(0, 20, (layers, experts, experts)).astype(float)
    pairs += pairs.transpose(0, 2, 1)
    pairs[:, np.arange(experts), np.arange(experts)] = 0
    return pairs


def test_eplb_on_its_documented_example():
    """Weights and result as printed in the README of DeepSeek's EPLB: 16 replicas, 4 groups, 2 nodes, 8 GPUs."""
    weight = [
        [90, 132, 40, 61, 104, 165, 39, 4, 73, 56, 183, 86],
        [20, 107, 104, 64, 19, 197, 187, 157, 172, 86, 16, 27],
    ]
    plan = made("eplb", weight, parts=8, slots=2, nodes=2, groups=4)
    assert plan.expert.reshape(2, 16).tolist() == [
        [5, 6, 5, 7, 8, 4, 3, 4, 10, 9, 10, 2, 0, 1, 11, 1],
        [7, 10, 6, 8, 6, 11, 8, 9, 2, 4, 5, 1, 5, 0, 3, 1],
    ]


def packed_by_hand(weights, packs):
    """Heaviest first into the lightest pack with room; one item per pack stays in order."""
    room = len(weights) // packs
    if room == 1:
        return [[item] for item in range(packs)]
    inside, total = [[] for _ in range(packs)], [np.float32(0)] * packs
    for item in sorted(range(len(weights)), key=lambda i: (-weights[i], i)):
        pack = min((p for p in range(packs) if len(inside[p]) < room), key=lambda p: (total[p], p))
        inside[pack].append(item)
        total[pack] = total[pack] + np.float32(weights[item])
    return inside


def eplb_by_hand(weights, slots, groups, nodes, parts):
    """EPLB in words, one layer at a time: groups to nodes, replicas of the largest share, replicas to parts."""
    size = len(weights) // groups
    if groups % nodes:
        groups, nodes, size = 1, 1, len(weights)
    sums = [np.sum(np.float32(weights[g * size : (g + 1) * size])) for g in range(groups)]
    plan = []
    for node in packed_by_hand(sums, nodes):
        experts = [group * size + i for group in node for i in range(size)]
        replicas, count = list(experts), {expert: 1 for expert in experts}
        while len(replicas) < slots // nodes:
            most = max(experts, key=lambda e: np.float32(weights[e]) / np.float32(count[e]))
            count[most] += 1
            replicas.append(most)
        share = [np.float32(weights[e]) / np.float32(count[e]) for e in replicas]
        plan += [[replicas[i] for i in part] for part in packed_by_hand(share, parts // nodes)]
    return plan


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([(1, 1), (4, 2), (4, 4), (2, 4), (6, 2)]), st.integers(0, 2))
def test_eplb_against_a_plain_writing(seed, shape, more):
    groups, nodes = shape
    rng = np.random.default_rng(seed)
    experts, parts = 12, nodes * int(rng.integers(1, 4))
    slots = -(-experts // parts) + more
    weights = rng.integers(0, 30, (2, experts)).astype(float)  # few values: ties happen
    plan = made("eplb", weights, parts=parts, slots=slots, nodes=nodes, groups=groups)
    for layer in range(2):
        assert plan.expert[layer].tolist() == eplb_by_hand(weights[layer], parts * slots, groups, nodes, parts)


def test_eplb_keeps_groups_inside_a_node():
    weights = np.random.default_rng(5).gamma(0.5, 100, (3, 16))
    plan = made("eplb", weights, parts=8, slots=3, nodes=4, groups=8)
    of_node = plan.expert.reshape(3, 4, -1) // 2
    for layer in range(3):
        groups = [set(node.tolist()) for node in of_node[layer]]
        assert [len(node) for node in groups] == [2] * 4 and set.union(*groups) == set(range(8))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(1, 9), st.integers(1, 5), st.integers(0, 3))
def test_every_policy_keeps_the_rules(seed, layers, experts, parts, more):
    rng = np.random.default_rng(seed)
    usage = rng.integers(0, 5, (layers, experts)).astype(float)
    slots = -(-experts // parts) + more
    for name in HEURISTICS:
        plan = made(name, usage, random_pairs(rng, layers, experts), parts=parts, slots=slots)
        for layer in range(layers):
            found = plan.expert[layer][plan.expert[layer] >= 0].tolist()
            assert set(found) == set(range(experts))
            assert plan.replicas[layer].sum() == len(found) <= parts * slots
            if not name.startswith("eplb"):
                assert plan.copies.max() <= 1  # EPLB may put two replicas on one part
            if name.startswith("eplb"):
                assert len(found) == parts * slots
        assert plan.load(usage).sum(axis=1) == pytest.approx(usage.sum(axis=1))


def test_loads_balance_and_moves_by_hand():
    budget = PartBudget(layers=1, experts=3, parts=2, slots=2)
    plan = PartPlan(policy="mine", budget=budget, expert=np.array([[[0, 1], [2, 0]]]))
    usage = np.array([[8.0, 1.0, 3.0]])  # expert 0 in two shares of 4
    assert plan.load(usage).tolist() == [[5.0, 7.0]]
    assert plan.balance(usage).tolist() == [7 / 6]
    assert np.isnan(plan.balance(np.zeros((1, 3)))).all()
    pairs = np.array([[[0, 5, 2], [5, 0, 3], [2, 3, 0]]])
    assert plan.cross_pairs(pairs).tolist() == [3 / 10]  # only 1 and 2 share no part
    other = replace(plan, expert=np.array([[[0, 2], [1, -1]]]))
    assert (plan.moved_copies(other), other.moved_copies(plan)) == (3, 2)


def test_round_robin_and_blocks_by_hand():
    usage = np.ones((1, 5))
    assert made("round_robin", usage, parts=2, slots=3).expert.tolist() == [[[0, 2, 4], [1, 3, -1]]]
    assert made("blocks", usage, parts=2, slots=3).expert.tolist() == [[[0, 1, 2], [3, 4, -1]]]


def test_lpt_by_hand():
    """Without a spare slot 7+4 | 6+5; with one, 7 is halved: 3.5+6+3 | 3.5+5+4."""
    assert made("lpt", [[7, 6, 5, 4, 3]], parts=2, slots=3).load(np.array([[7, 6, 5, 4, 3.0]])).tolist() == [
        [12.5, 12.5]
    ]
    plan = made("lpt", [[7, 6, 5, 4]], parts=2, slots=2)
    assert plan.expert.tolist() == [[[0, 3], [1, 2]]]


def test_replicas_even_out_a_hot_expert():
    usage = np.array([[90.0] + [10.0] * 7])
    bare, more = (made("lpt", usage, parts=4, slots=slots).balance(usage)[0] for slots in (2, 3))
    assert bare == pytest.approx(100 / 40)
    assert more < 1.1


def test_coactivation_finds_planted_pairs():
    """Tokens use experts (2i, 2i + 1) together: on one part of four, all pairs are inside; apart, none is."""
    tokens = np.array([[[2 * i, 2 * i + 1]] for i in range(8)] * 4)
    pairs = count_pairs(tokens, 16)
    assert pairs[0, 4, 5] == pairs[0, 5, 4] == 4 and pairs.sum() == 2 * 32
    usage = np.full((1, 16), 4.0)
    assert made("coactivation_together", usage, pairs, parts=4, slots=4).cross_pairs(pairs).tolist() == [0.0]
    assert made("coactivation_apart", usage, pairs, parts=4, slots=4).cross_pairs(pairs).tolist() == [1.0]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 1))
def test_coactivation_never_loses_to_its_start_and_keeps_the_load_limit(seed, more):
    rng = np.random.default_rng(seed)
    usage, pairs = rng.gamma(1, 100, (2, 12)), random_pairs(rng, 2, 12)
    start, together, apart = (
        made(name, usage, pairs, parts=3, slots=4 + more)
        for name in ("lpt", "coactivation_together", "coactivation_apart")
    )
    if not more:  # with replicas the swaps weigh expected pairs, cross_pairs counts the best case
        assert (together.cross_pairs(pairs) <= start.cross_pairs(pairs) + 1e-12).all()
        assert (apart.cross_pairs(pairs) >= start.cross_pairs(pairs) - 1e-12).all()
    limit = np.maximum(start.balance(usage), 1.1) + 1e-9
    assert (together.balance(usage) <= limit).all() and (apart.balance(usage) <= limit).all()


def smallest_by_search(usage, parts, slots):
    """The smallest load of the fullest part over all ways to place experts, one replica each."""
    best = [np.inf]

    def place(expert, load, filled):
        if max(load) >= best[0]:
            return
        if expert == len(usage):
            best[0] = max(load)
            return
        for part in range(parts):
            if filled[part] < slots:
                load[part] += usage[expert]
                filled[part] += 1
                place(expert + 1, load, filled)
                load[part] -= usage[expert]
                filled[part] -= 1

    place(0, [0.0] * parts, [0] * parts)
    return best[0]


def test_milp_is_the_optimum_found_by_search():
    pytest.importorskip("scipy")
    usage = np.random.default_rng(1).integers(1, 60, (4, 8)).astype(float)
    plan = made("milp", usage, parts=4, slots=2)
    for layer in range(4):
        assert plan.load(usage)[layer].max() == pytest.approx(smallest_by_search(usage[layer], 4, 2), rel=2e-6)


def test_milp_beats_every_heuristic_at_full_size():
    """8 layers x 16 experts x 4 parts, proven; LPT is not optimal there."""
    pytest.importorskip("scipy")
    rng = np.random.default_rng(2)
    usage, pairs = rng.gamma(1, 1000, (8, 16)).round(), random_pairs(rng, 8, 16)
    given_input = PartInput(usage=usage, budget=PartBudget(layers=8, experts=16, parts=4, slots=4), pairs=pairs)
    bound = solve(given_input, seconds=300)
    assert bound.proven.all() and bound.relative_gap == 1e-6
    fullest = bound.plan.load(usage).max(axis=1)
    assert fullest == pytest.approx(bound.lower_bound, rel=2e-6)
    assert (bound.lower_bound >= usage.sum(axis=1) / 4 * (1 - 1e-9)).all()
    for name in HEURISTICS:
        load = PART_POLICIES[name](given_input).load(usage).max(axis=1)
        assert (load >= bound.lower_bound * (1 - 1e-9)).all(), name
    assert (PART_POLICIES["lpt"](given_input).load(usage).max(axis=1) > fullest * 1.001).any()


@pytest.mark.parametrize("seed", range(3))
def test_no_plan_with_replicas_beats_the_bound(seed):
    pytest.importorskip("scipy")
    rng = np.random.default_rng(seed)
    usage, pairs = rng.gamma(0.4, 100, (2, 6)), random_pairs(rng, 2, 6)
    given_input = PartInput(usage=usage, budget=PartBudget(layers=2, experts=6, parts=3, slots=3), pairs=pairs)
    bound = solve(given_input, seconds=40)
    for name in HEURISTICS:
        load = PART_POLICIES[name](given_input).load(usage).max(axis=1)
        assert (load >= bound.lower_bound * (1 - 1e-9)).all(), name
    assert (
        bound.plan.load(usage).max(axis=1) <= PART_POLICIES["lpt"](given_input).load(usage).max(axis=1) + 1e-9
    ).all()


def test_a_layer_without_selections_and_too_large_a_problem():
    pytest.importorskip("scipy")
    assert made("milp", np.zeros((1, 4)), parts=2, slots=2).replicas.tolist() == [[1, 1, 1, 1]]
    with pytest.raises(CapacityError, match="allowed: 4000; it is meant for up to 16 experts on 4 parts"):
        made("milp", np.ones((1, 256)), parts=32, slots=9)


def test_rules_of_budgets():
    with pytest.raises(CapacityError, match="9 experts of a layer do not fit 2 parts of 4 slots; each .* at least 5"):
        PartBudget(layers=1, experts=9, parts=2, slots=4)
    with pytest.raises(ConfigError, match=r"parts \(4\) is no multiple of nodes \(3\)"):
        PartBudget(layers=1, experts=8, parts=4, slots=4, nodes=3)
    with pytest.raises(ConfigError, match="slots is 0, allowed: 1 or more"):
        PartBudget(layers=1, experts=8, parts=4, slots=0)
    mixtral = load_model("mixtral-8x7b")
    assert part_budget(mixtral, 4).slots == 2 and part_budget(mixtral, 4, replicas=1).slots == 3
    # Mixtral: 32 layers x 2 experts x 3 x 4096 x 14336 x 2 B = 21.0 GiB of a part.
    assert part_budget(mixtral, 4, part_bytes=21 * 2**30).parts == 4
    with pytest.raises(CapacityError, match=r"2 experts in each of 32 layers need 21.0 GiB of a part, it has 20.0 GiB"):
        part_budget(mixtral, 4, part_bytes=20 * 2**30)


@pytest.mark.parametrize(
    ("expert", "message"),
    [
        ([[[0, 1], [1, 0]]], "expert 2 of layer index 0 is on no part"),
        ([[[0, 1], [2, 3]]], r"expert ids must lie in 0..2 \(-1: empty\)"),
        ([[[0, 1, 2], [2, 1, 0]]], r"slots of shape \(1, 2, 3\), the budget has \(1, 2, 2\)"),
    ],
)
def test_rules_of_plans(expert, message):
    budget = PartBudget(layers=1, experts=3, parts=2, slots=2)
    with pytest.raises(CapacityError, match=message):
        PartPlan(policy="mine", budget=budget, expert=np.array(expert))


def test_rules_of_input():
    budget = PartBudget(layers=1, experts=3, parts=3, slots=1)
    with pytest.raises(TraceError, match=r"usage of shape \(1, 4\), the budget needs \(1, 3\)"):
        PartInput(usage=np.ones((1, 4)), budget=budget)
    with pytest.raises(TraceError, match="usage has a negative, infinite or missing"):
        PartInput(usage=np.array([[1, np.nan, 2]]), budget=budget)
    with pytest.raises(ConfigError, match="needs co-activation"):
        place_on_parts("coactivation_together", PartInput(usage=np.ones((1, 3)), budget=budget))
    with pytest.raises(ConfigError, match="no placement 'eplp'; did you mean 'eplb'"):
        place_on_parts("eplp", PartInput(usage=np.ones((1, 3)), budget=budget))


def test_absurdly_many_slots_are_refused_before_memory_is_asked_for():
    for parts, replicas in ((99_999_999, 0), (2, 999_999_999), (10**400, 0), (2, 10**400)):
        with pytest.raises(CapacityError, match="allowed: 1048576 slots in a layer"):
            part_budget(load_model("mixtral-8x7b"), parts, replicas=replicas)
