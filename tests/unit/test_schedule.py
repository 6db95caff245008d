"""Scheduling policies against exhaustive search, hand-worked cases and closed forms."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from moeram.errors import CapacityError, ConfigError, EngineError
from moeram.schedule import ExpertCosts, Observation, gpu_ps, make_schedule, objective_ps, schedule_names
from moeram.schedule.sieve import CostTable


def observe(tokens, *, weight=4.0, compute=0.5, per_token=1.0, **changed):
    """n decisions in which an expert costs the GPU its weights once and the memory side a pass per token."""
    tokens = np.atleast_2d(np.asarray(tokens, dtype=np.int64))
    n, counts = len(tokens), np.arange(tokens.max(initial=0) + 1)
    costs = {
        "gpu_memory_ps": np.where(counts > 0, weight, 0.0),
        "gpu_compute_ps": counts * compute,
        "memory_ps": counts * per_token,
        "memory_roofline_ps": counts * per_token / 2,
    }
    costs |= {name: changed.pop(name) for name in costs if name in changed}
    values = {
        "tokens": tokens,
        "costs": ExpertCosts(**costs),
        **{
            name: np.zeros(n)
            for name in ("gpu_base_memory_ps", "gpu_base_compute_ps", "attention_ps", "gpu_attention_ps", "comm_ps")
        },
        **changed,
    }
    return Observation(**values)


observations = st.builds(
    lambda tokens, weight, compute, per_token, base: observe(
        tokens, weight=weight, compute=compute, per_token=per_token,
        gpu_base_memory_ps=base[0], gpu_base_compute_ps=base[1], attention_ps=base[2], comm_ps=base[3],
    ),
    st_numpy.arrays(np.int64, (3, 6), elements=st.integers(0, 40)),
    st.integers(1, 60), st.integers(0, 5), st.integers(1, 20),
    st_numpy.arrays(float, (4, 3), elements=st.integers(0, 200)),
)  # fmt: skip


def learnt_sieve(observation):
    """A Sieve whose table has seen the real time of every token count."""
    sieve = make_schedule("sieve", {"scheduler_us": 0.0})
    active = observation.activated
    sieve.observe(observation.tokens[active], observation.memory_ps[active])
    return sieve


def test_all_shipped_policies_are_offered():
    assert set(schedule_names()) >= {
        "gpu_only", "no_experts", "all_experts", "attacc", "duplex", "papi", "pimoe", "sieve", "oracle",
    }  # fmt: skip


@given(observations)
def test_every_plan_uses_activated_experts_alone(observation):
    for name in schedule_names():
        plan = make_schedule(name).plan(observation)
        assert plan.on_memory.shape == observation.tokens.shape
        assert not (plan.on_memory & ~observation.activated).any()


@given(observations)
def test_sieve_equals_the_best_prefix(observation):
    plan = learnt_sieve(observation).plan(observation)
    found = objective_ps(observation, plan.on_memory, observation.memory_ps)
    for row, tokens in enumerate(observation.tokens):
        order = sorted(range(len(tokens)), key=lambda expert: (-tokens[expert], expert))
        times = []
        for moved in range(len(order) + 1):
            on_memory = np.zeros_like(observation.activated)
            on_memory[row, order[moved:]] = True
            times.append(objective_ps(observation, on_memory & observation.activated, observation.memory_ps)[row])
        assert found[row] == min(times)


def plain_sieve(observation, expected, comm_ps):
    """The algorithm of sieve.md 3.5 word by word: one expert after the other."""
    on_memory = observation.activated.copy()
    for row, tokens in enumerate(observation.tokens):

        def state(row=row):
            gpu = gpu_ps(observation, observation.activated & ~on_memory)[row]
            memory = observation.attention_ps[row] + expected[row][on_memory[row]].sum()
            return max(comm_ps[row], gpu, memory), memory

        for expert in sorted(np.flatnonzero(tokens), key=lambda expert: (-tokens[expert], expert)):
            before, memory = state()
            on_memory[row, expert] = False
            after, _ = state()
            if not (after < before or (after == before and memory > comm_ps[row])):
                on_memory[row, expert] = True
                break
    return on_memory


@given(observations)
def test_sieve_by_groups_equals_one_expert_after_the_other(observation):
    plan = learnt_sieve(observation).plan(observation)
    assert np.array_equal(plan.on_memory, plain_sieve(observation, observation.memory_ps, observation.comm_ps))
    groups = zip(observation.groups.decision, observation.groups.tokens, strict=True)
    counted = [int((plan.on_memory[row] & (observation.tokens[row] == count)).sum()) for row, count in groups]
    assert plan.kept(observation).tolist() == counted


def test_sieve_by_groups_equals_one_expert_after_the_other_at_the_size_of_models():
    rng = np.random.default_rng(3)
    for batch in (1, 8, 64, 512):
        tokens = rng.poisson(batch * 8 / 128 * rng.gamma(0.5, 2, (12, 128)))
        observation = observe(
            tokens, weight=1_179_648.0, compute=4_194.3, per_token=257_143.0,
            attention_ps=rng.integers(0, 2_000_000, 12).astype(float), comm_ps=rng.integers(0, 300_000, 12).astype(float),
            gpu_base_memory_ps=np.full(12, 3_141_592.6), gpu_base_compute_ps=np.full(12, 14_142.1),
        )  # fmt: skip
        for sieve in (learnt_sieve(observation), make_schedule("sieve")):
            expected = sieve.table.look_up(observation.tokens, observation.memory_roofline_ps)
            assert np.array_equal(
                sieve.plan(observation).on_memory, plain_sieve(observation, expected, observation.comm_ps)
            )


@given(observations)
def test_nobody_beats_the_oracle_which_is_the_minimum_over_all_subsets(observation):
    def time(name):
        policy = learnt_sieve(observation) if name == "sieve" else make_schedule(name)
        return objective_ps(observation, policy.plan(observation).on_memory, observation.memory_ps)

    best = time("oracle")
    for name in ("no_experts", "all_experts", "duplex", "papi", "pimoe", "sieve"):
        assert (best <= time(name)).all()
    brute = np.full(3, np.inf)
    for subset in itertools.product((False, True), repeat=6):
        on_memory = observation.activated & np.array(subset)
        brute = np.minimum(brute, objective_ps(observation, on_memory, observation.memory_ps))
    assert np.array_equal(best, brute)


@given(observations)
def test_duplex_stops_where_one_more_expert_does_not_help(observation):
    plan = make_schedule("duplex").plan(observation)

    def time(on_memory, row):
        own = gpu_ps(observation, observation.activated & ~on_memory)[row]
        return max(own, observation.memory_ps[row][on_memory[row]].sum())

    for row, tokens in enumerate(observation.tokens):
        order = [e for e in sorted(range(6), key=lambda expert: (-tokens[expert], expert)) if tokens[e]]
        on_memory = np.zeros_like(observation.activated)
        while order:
            one_more = on_memory.copy()
            one_more[row, order.pop()] = True
            if time(one_more, row) >= time(on_memory, row):
                break
            on_memory = one_more
        assert np.array_equal(plan.on_memory[row], on_memory[row])


def test_sieve_sees_attention_and_pimoe_does_not():
    # Four experts of 3 tokens; a pass costs 1, weights 4 on the GPU. Without attention: one on the GPU (4) leaves 9, two give 8 and 6.
    busy = observe([3, 3, 3, 3], attention_ps=np.array([100.0]))
    assert make_schedule("pimoe").plan(busy).on_memory.sum() == 2
    assert learnt_sieve(busy).plan(busy).on_memory.sum() == 0


def test_pimoe_keeps_the_move_that_exceeds():
    # Loads 6, 2, 2 on the memory side (10). GPU 0 <= 10: move the 6 (GPU 4, memory 4). 4 <= 4: move a 2 (GPU 8 > 2): stop.
    plan = make_schedule("pimoe").plan(observe([2, 6, 2]))
    assert plan.on_memory.tolist() == [[False, False, True]]


def test_pimoe_with_experts_on_units_waits_for_the_busiest_unit():
    # Two units, experts 0 and 1 on the first: 2 x (5 + 4) = 18 against 2 x 6; the most popular expert of the first unit goes first.
    both = observe([5, 4, 6], memory_units=2, unit_of_expert=np.array([0, 0, 1]), weight=20.0)
    plan = make_schedule("pimoe", {"layout": "expert"}).plan(both)
    assert plan.on_memory.tolist() == [[False, True, True]]
    with pytest.raises(ConfigError, match="units hold one expert each"):
        make_schedule("pimoe", {"layout": "expert"}).plan(observe([5, 4, 6]))


@given(observations)
def test_pimoe_by_prefixes_is_pimoe_with_one_unit(observation):
    one = replace(observation, memory_units=1, unit_of_expert=np.zeros(6, dtype=np.int64))
    moved_one_by_one = make_schedule("pimoe", {"layout": "expert"}).plan(one).on_memory
    assert np.array_equal(make_schedule("pimoe").plan(observation).on_memory, moved_one_by_one)


@pytest.mark.parametrize(("requests", "tokens", "on_memory"), [(3, 1, 2), (4, 1, 0), (2, 2, 0), (1, 3, 2)])
def test_papi_compares_requests_times_tokens_with_alpha(requests, tokens, on_memory):
    observation = observe([2, 0, 1], requests=requests, tokens_per_request=tokens)
    assert make_schedule("papi").plan(observation).on_memory.sum() == on_memory


def test_cost_table_is_an_exponential_moving_average():
    table = CostTable(0.25)
    counts = np.array([1, 7])
    assert table.look_up(counts, np.array([5.0, 9.0])).tolist() == [5, 9]
    for _ in range(3):
        table.update(np.array([7, 7]), np.array([90.0, 110.0]))
    table.update(np.array([7]), np.array([200.0]))
    assert table.look_up(counts, np.array([5.0, 9.0])).tolist() == [5, 0.75 * 100 + 0.25 * 200]


def test_sieve_learns_that_its_roofline_was_wrong():
    observation = observe([1] * 8, per_token=3.0)
    sieve = make_schedule("sieve")
    optimist = sieve.plan(observation)  # expects 1.5 for each on the memory side
    assert optimist.charged_ps == 20_000_000
    used = optimist.on_memory
    sieve.observe(observation.tokens[used], observation.memory_ps[used])
    realist = sieve.plan(observation)
    assert realist.on_memory.sum() < used.sum()
    better = objective_ps(observation, realist.on_memory, observation.memory_ps)
    assert better <= objective_ps(observation, used, observation.memory_ps)


def test_ablations_ignore_what_they_name():
    observation = observe([3] * 4, attention_ps=np.array([100.0]))
    blind = make_schedule("sieve", {"count_attention": False, "use_table": False})
    blind.observe(np.array([3]), np.array([1000.0]))
    assert blind.plan(observation).on_memory.any()
    waiting = observe([3] * 4, comm_ps=np.array([1000.0]))
    assert learnt_sieve(waiting).plan(waiting).on_memory.all()


def test_only_gpu_only_takes_attention_from_the_memory_side():
    observation = observe([3] * 4)
    off = {name for name in schedule_names() if not make_schedule(name).plan(observation).attention_on_memory}
    assert off == {"gpu_only"}


def test_bad_input_is_named():
    with pytest.raises(ConfigError, match="did you mean 'sieve'"):
        make_schedule("seive")
    with pytest.raises(ConfigError, match="did you mean 'scheduler_us'"):
        make_schedule("sieve", {"schedule_us": 3.0})
    with pytest.raises(ConfigError, match="no options"):
        make_schedule("duplex", {"alpha": 3})
    with pytest.raises(EngineError, match="memory_ps"):
        observe([1, 2], memory_ps=np.array([0.0, np.nan, 1.0]))
    with pytest.raises(EngineError, match="end at 1 tokens, an expert has 2"):
        observe(
            [1, 2], **dict.fromkeys(("gpu_memory_ps", "gpu_compute_ps", "memory_ps", "memory_roofline_ps"), np.zeros(2))
        )
    with pytest.raises(CapacityError, match="17 experts have tokens"):
        make_schedule("oracle").plan(observe([1] * 17))
