"""Chains that are folded against runs of every command, and what GPUs with computing memory make of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moeram.errors import ConfigError
from moeram.experiment import load_serving, run_serving
from moeram.hardware.memo import KernelMemo
from moeram.hardware.memories import load_memory
from moeram.hardware.pim_engine import PimEngine
from moeram.hardware.pim_memory import MatrixCut
from moeram.hardware.pim_programs import expert_program, matrices_program, run_program
from moeram.model import load_model
from moeram.schedule.groups import TokenGroups
from moeram.serving.pricing.memory_times import EngineTimes, LayerShares

END_CYCLES = 2  # the instruction that ends a trace, which a chain does not have


@pytest.fixture(scope="module")
def memory():
    return load_memory("hbm3e_pim")


@pytest.fixture(scope="module")
def qwen():
    return load_model("qwen3-30b-a3b")


@pytest.fixture(scope="module")
def engine(memory, qwen):
    return PimEngine(memory, qwen)


def of_every_command(memory, program):
    """Time and commands of a run without folding."""
    result = run_program(memory, program)
    return (result["memory_system_cycles"] - END_CYCLES) * memory.tck_ps, result["command_counts_by_channel"][0]


@pytest.mark.parametrize("change", [{}, {"dual_row_buffer": False}, {"layout": "output_split"}])
def test_a_folded_chain_equals_the_run_of_every_command(memory, change):
    changed, model = memory.model_copy(update=change), load_model("qwen3.5-397b-a17b")
    chain = PimEngine(changed, model).experts
    assert chain.period
    behind = chain.period_begin + 2 * chain.period
    for tokens in (1, 7, 8, 9, 64, chain.period_begin + 1, behind - 1, behind, behind + 37):
        time_ps, commands = of_every_command(changed, expert_program(changed, model, tokens))
        assert chain.ps(tokens) == time_ps
        assert chain.commands_of(tokens) == commands
    assert chain.ps([0, 1]).tolist() == [0, chain.end_ps[1]]
    many = chain.period * 1000
    assert chain.ps(chain.period_begin + many) - chain.ps(chain.period_begin) == pytest.approx(many * chain.turn_ps)


cuts = st.builds(MatrixCut, st.integers(1, 300), st.integers(1, 200), st.integers(1, 40))


@settings(max_examples=25, deadline=None)
@given(st.lists(cuts, min_size=1, max_size=3), st.integers(1, 400), st.booleans())
def test_chains_of_any_matrices_equal_the_run_of_every_command(memory, qwen, matrices, turns, dual):
    changed = memory.model_copy(update={"dual_row_buffer": dual})
    chain = PimEngine(changed, qwen).chain(matrices)
    turns = min(turns, len(chain.end_ps) - 1 if not chain.period else turns)
    assert (chain.ps(turns), chain.commands_of(turns)) == of_every_command(
        changed, matrices_program(changed, matrices, turns)
    )


def test_a_vector_longer_than_its_buffer_is_written_in_parts(memory):
    _, commands = of_every_command(memory, matrices_program(memory, [MatrixCut(600, 1000, 7)]))
    assert (commands["WRVEC"], commands["MACAB"], commands["RDRES"]) == (600, 1000, 7)


def test_attention_lies_between_its_roofline_and_twice_it_where_every_channel_works(memory, qwen, engine):
    for requests, context in ((64, 1024), (16, 4096), (128, 700)):
        cache, operations = (
            requests * context * qwen.kv_layer_bytes,
            4 * requests * context * qwen.heads * qwen.head_dim,
        )
        _, bound = memory.attention_ps(cache, operations)
        assert bound / memory.awake < engine.attention_ps(np.full(requests, context)) < 2 * bound


def test_attention_waits_for_its_longest_head_and_deals_out_what_does_not_fit(qwen, engine):
    # 4 heads of a request: 64 of them have 4 pseudochannels each, 1024 follow one another in fours.
    alone, mixed = engine.attention_ps(np.full(16, 4000)), engine.attention_ps(np.array([4000, *[100] * 15]))
    assert alone == mixed
    one = engine.attention_ps(np.full(64, 500))
    assert engine.attention_ps(np.full(256, 500)) == pytest.approx(4 * one)
    assert engine.attention_ps(np.full(64, 500), new_tokens=3) == pytest.approx(3 * one)
    assert engine.attention_ps(np.zeros(0, dtype=np.int64)) == 0


def test_known_chains_are_not_played_again(memory, qwen, tmp_path):
    first, second = KernelMemo(tmp_path), KernelMemo(tmp_path)
    played, found = PimEngine(memory, qwen, first).experts, PimEngine(memory, qwen, second).experts
    assert (first.counts.misses, second.counts.misses, second.counts.disk_hits) == (1, 0, 1)
    assert first.counts.commands_of_misses > 0
    assert np.array_equal(played.end_ps, found.end_ps)
    assert played.commands_of(5000) == found.commands_of(5000)


def test_experts_of_a_step_are_one_chain_on_each_gpu(engine, qwen):
    rng = np.random.default_rng(0)
    groups = TokenGroups(rng.integers(0, 6, (3 * 2, 9)))
    kept = rng.integers(0, groups.experts + 1)
    took = EngineTimes(engine, qwen, 2).groups_ps(groups, kept, engine.expert_ps(np.arange(6)).time_ps)
    assert took.shape == kept.shape
    assert (took[kept == 0] == 0).all()
    for gpu in range(2):
        mine = groups.decision % 2 == gpu
        assert took[mine].sum() == engine.experts.ps((kept * groups.tokens)[mine].sum())


def test_layers_without_a_cache_have_no_attention():
    qwen35 = load_model("qwen3.5-397b-a17b")
    layers = LayerShares(qwen35).spread(
        np.array([0.0 if kind == "linear" else 7.0 for kind in LayerShares(qwen35).kinds])
    )
    assert layers.sum() == 15 * 7
    assert [layer for layer in range(60) if layers[layer]] == [
        layer for layer in range(60) if qwen35.attention.kind(layer) == "full"
    ]
    # Dense layers' attention is spread over those with experts.
    deepseek = load_model("deepseek-v2-lite")
    assert LayerShares(deepseek).spread(np.array([3.0])).sum() == pytest.approx(3 * deepseek.layers)


def served(**changes):
    small = {"requests.count": 6, "requests.output_tokens": 8, "batching.max_requests": 6, **changes}
    return run_serving(load_serving("qwen3_sieve", values=small))


def test_serving_by_the_engine_says_so_and_how_far_the_closed_forms_are():
    by_formula, by_engine = served(), served(pim_times="engine")
    assert not any("cycle-memo" in note for note in by_formula.notes)
    (note,) = (note for note in by_engine.notes if "cycle-memo" in note)
    assert "experts +" in note and "attention -" in note
    ratio = by_engine.record.parts_ps["memory"] / by_formula.record.parts_ps["memory"]
    assert 0.8 < ratio < 1.5
    assert ratio != 1


def test_what_the_engine_cannot_play_is_refused(memory, qwen):
    with pytest.raises(ConfigError, match="hbm3_attacc: there is no standard"):
        PimEngine(load_memory("hbm3_attacc"), qwen)
    with pytest.raises(ConfigError, match="units multiply 16-bit weights"):
        PimEngine(memory, load_model("qwen3-30b-a3b-fp8"))
    with pytest.raises(ConfigError, match="pim_times: given, but h100_x2 is of kind gpus"):
        run_serving(load_serving("mixtral_h100_x2", values={"pim_times": "engine"}))
    with pytest.raises(ConfigError, match="hbm3_duplex has no units at the banks"):
        served(model="mixtral-8x7b", system="duplex_x4", pim_times="engine")
