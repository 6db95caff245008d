"""The memo of kernels: what it gives back is what was put in, whatever happens to its files."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moeram.hardware import (
    CycleOptions,
    KernelMemo,
    NmpWork,
    Stream,
    StreamMemory,
    cycle,
    load_system,
    near_memory_layers,
    run_streams,
)  # fmt: skip
from moeram.hardware.memo import memo_key

OPTIONS = CycleOptions(
    hidden_size=2048, intermediate_size=1024, bits_per_weight=16, bytes_per_activation=2, result_row=32767, threads=1
)
SYSTEM = load_system("stratum_s")


def arrays(scale: int = 1):
    return {
        "a": np.arange(6, dtype=np.int64).reshape(2, 3) * scale,
        "b": np.float64(2.5) * np.ones(()),
        "c": np.zeros((0, 4)),
    }


def same(left, right) -> bool:
    return (
        left is not None and all(np.array_equal(left[name], right[name]) for name in right) and len(left) == len(right)
    )


def layers_of(programs, batch=16) -> NmpWork:
    """Programs: for each layer a list of (first row, tokens)."""
    entries = [entry for program in programs for entry in program]
    return NmpWork(
        layer_begin=np.cumsum([0, *map(len, programs)], dtype=np.int64),
        expert=np.arange(len(entries), dtype=np.int32),
        first_row=np.array([row for row, _ in entries], dtype=np.int32),
        tokens=np.array([tokens for _, tokens in entries], dtype=np.int32),
        batch=batch,
    )


def equal(left: cycle.StepTimes, right: cycle.StepTimes) -> bool:
    plain = ("time_ps", "rows_read", "rows_written", "tier_time_ps", "weight_macs")
    tables = ("commands", "busy_ps")
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in plain) and all(
        np.array_equal(getattr(left, table)[name], values)
        for table in tables
        for name, values in getattr(right, table).items()
    )


def test_another_process_finds_what_one_stored(tmp_path):
    KernelMemo(tmp_path).put("ab" * 32, arrays())
    later = KernelMemo(tmp_path)
    assert same(later.get("ab" * 32), arrays())
    assert later.get("cd" * 32) is None
    assert (later.counts.disk_hits, later.counts.misses, later.counts.failures) == (1, 1, 0)
    later.clear()
    assert KernelMemo(tmp_path).get("ab" * 32) is None


def test_damaged_files_count_as_absent_and_are_replaced(tmp_path):
    key = "ab" * 32
    KernelMemo(tmp_path).put(key, arrays())
    (path,) = tmp_path.rglob("*.kernel")
    whole = path.read_bytes()
    damaged = [
        b"",
        whole[:10],
        whole[:-1],
        whole + b"x",
        b"other" + whole,
        whole[:80] + bytes([whole[80] ^ 1]) + whole[81:],
    ]
    for content in damaged:
        path.write_bytes(content)
        memo = KernelMemo(tmp_path)
        assert memo.get(key) is None and memo.counts.failures == 1
        memo.put(key, arrays(2))
        assert same(KernelMemo(tmp_path).get(key), arrays(2))


def write_often(folder, scale):
    memo = KernelMemo(folder)
    for index in range(60):
        memo.put(f"{index % 5:02d}" * 32, arrays(7))
        found = KernelMemo(folder).get(f"{index % 5:02d}" * 32)
        if not same(found, arrays(7)):
            raise SystemExit(1)


def test_processes_that_write_the_same_keys_read_whole_results(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write_often, args=(tmp_path, scale)) for scale in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert not list(tmp_path.rglob("*.partial"))


def test_a_folder_that_cannot_be_written_is_counted_and_nothing_else(tmp_path):
    (tmp_path / "file").write_text("no folder")
    memo = KernelMemo(tmp_path / "file")
    memo.put("ab" * 32, arrays())
    assert memo.counts.failures == 1 and same(memo.get("ab" * 32), arrays())


def test_old_results_go_where_there_are_too_many(tmp_path):
    memo = KernelMemo(memory_bytes=1000)
    for index in range(10):
        memo.put(f"{index:02d}" * 32, arrays())
    assert memo.get("00" * 32) is None and same(memo.get("09" * 32), arrays())
    for index in range(10):
        KernelMemo(tmp_path).put(f"{index:02d}" * 32, {"a": np.random.default_rng(index).integers(0, 99, 1000)})
    KernelMemo(tmp_path, folder_bytes=3000).put("ff" * 32, arrays())
    assert 1 < len(list(tmp_path.rglob("*.kernel"))) < 9


def test_keys_tell_values_and_their_order_apart():
    parts = [
        ("a", "b"),
        ("ab",),
        ("a", "b", ""),
        (np.array([1, 2]),),
        (np.array([1, 2], dtype=np.int32),),
        (1, 2),
        ("1", 2),
    ]
    assert len({memo_key(*part) for part in parts}) == len(parts)


@settings(max_examples=25, deadline=None)
@given(
    programs=st.lists(
        st.lists(
            st.tuples(st.sampled_from([0, 12, 40, 4085, 4090, 4096, 8192, 30000]), st.sampled_from([1, 2, 16])),
            min_size=1,
            max_size=5,
        ),
        min_size=1,
        max_size=6,
    ),
    all_channels=st.booleans(),
)
def test_layers_from_the_memo_equal_simulated_ones(programs, all_channels):
    work = layers_of(programs)
    options = replace(OPTIONS, reuse_identical_channels=not all_channels)
    expected = cycle.run(work, SYSTEM, replace(options, reuse_experts=False))
    memo = KernelMemo()
    assert equal(cycle.run(work, SYSTEM, options, memo), expected)
    assert equal(cycle.run(work, SYSTEM, options, memo), expected)
    assert memo.counts.memory_hits >= 1


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    most_tokens=st.sampled_from([1, 2, 16]),
    overlap=st.booleans(),
    latches=st.sampled_from([1, 2, 5]),
    experts=st.sampled_from([4, 40]),
)
def test_single_experts_from_the_memo_equal_simulated_ones(seed, most_tokens, overlap, latches, experts):
    rng = np.random.default_rng(seed)
    # Rows of a layer never meet; some experts lie in two tiers (their rows begin at multiples of 12, tiers at those of 4096).
    programs = [
        [(int(place) * 12, int(rng.integers(1, most_tokens + 1))) for place in rng.permutation(2600)[:experts]] for _ in range(6)
    ]
    unit = SYSTEM.unit.model_copy(update={"row_latches": latches})
    system = SYSTEM.model_copy(update={"unit": unit})
    options = replace(OPTIONS, overlap_reduce_scatter=overlap, overlap_weighted_sum=overlap)
    expected = cycle.run(layers_of(programs), system, replace(options, reuse_experts=False))
    assert expected.engine["experts_simulated"] == expected.engine["experts"] == 6 * experts
    cycle._core_configuration.cache_clear()  # single experts are kept with it
    for _ in range(2):
        found = cycle.run(layers_of(programs), system, options)
        assert equal(found, expected)
    assert found.engine["experts_simulated"] == 0


def test_only_what_decides_a_layer_is_its_program(tmp_path):
    memo = KernelMemo(tmp_path)
    base = [[(0, 4), (24, 16)]]
    alone = replace(OPTIONS, reuse_experts=False)  # experts of other layers may be known
    cycle.run(layers_of(base), SYSTEM, alone, memo)
    stored = memo.counts.stored
    # Other rows of the same tier, another expert: the same kernel. Within one call, equal layers are one.
    cycle.run(layers_of([[(48, 4), (100, 16)], *base, [(0, 4), (600, 16)]]), SYSTEM, OPTIONS, memo)
    assert memo.counts.stored == stored + 1  # the list of layers alone
    for other in ([[(4096, 4), (24, 16)]], [[(0, 5), (24, 16)]], [[(24, 16), (0, 4)]], [[(4090, 4), (24, 16)]]):
        before = memo.counts.commands_of_misses
        cycle.run(layers_of(other), SYSTEM, alone, memo)
        assert memo.counts.commands_of_misses > before
    before = memo.counts.commands_of_misses
    cycle.run(layers_of(base, batch=17), SYSTEM, OPTIONS, memo)
    cycle.run(layers_of(base), SYSTEM, replace(OPTIONS, overlap_silu=False), memo)
    cycle.run(layers_of(base), load_system("stratum_l"), OPTIONS, memo)
    assert memo.counts.commands_of_misses > before


def test_layers_of_a_serving_run_outlast_its_process(tmp_path):
    first_row = np.arange(0, 24 * 40, 24).reshape(4, 10)
    counts = np.random.default_rng(1).integers(0, 4, (3, 4, 10))

    def run(memo):
        near_memory_layers._times_of.cache_clear()  # as a new process begins
        layers = near_memory_layers.NearMemoryLayers(SYSTEM, OPTIONS, rows_per_expert=24, memo=memo)
        return [layers.time_ps(first_row, step, batch=16).tolist() for step in counts], layers

    plain, _ = run(None)
    stored, first = run(KernelMemo(tmp_path))
    found, second = run(KernelMemo(tmp_path))
    assert plain == stored == found
    assert first.hits_on_disk == 0
    assert second.hits_on_disk == second.misses == first.misses > 0


def test_layers_of_a_long_serving_run_do_not_pile_up(monkeypatch):
    first_row = np.arange(0, 24 * 40, 24).reshape(4, 10)
    steps = np.random.default_rng(2).integers(0, 4, (20, 4, 10))

    def run(reuse):
        near_memory_layers._times_of.cache_clear()
        layers = near_memory_layers.NearMemoryLayers(SYSTEM, OPTIONS, rows_per_expert=24, reuse=reuse)
        return [layers.time_ps(first_row, step, batch=16).tolist() for step in steps], layers

    plain, _ = run(False)
    _, unbounded = run(True)
    monkeypatch.setattr(near_memory_layers, "_MOST_BYTES", 10 * 300)
    bounded, few = run(True)
    assert bounded == plain
    assert len(few._known) <= 3000 // near_memory_layers._BYTES_OF_ENTRY < len(unbounded._known)


def test_a_whole_olmoe_layer_is_the_same_with_every_reuse_on_and_off(tmp_path):
    rng = np.random.default_rng(3)
    tokens = rng.integers(1, 8, 64)
    work = layers_of(
        [[(int(row) * 12, int(count)) for row, count in zip(rng.permutation(64) * 40, tokens, strict=True)]]
    )
    off = cycle.run(work, SYSTEM, replace(OPTIONS, reuse_identical_channels=False, reuse_experts=False))
    memo = KernelMemo(tmp_path)
    for _ in range(2):
        assert equal(cycle.run(work, SYSTEM, OPTIONS, memo), off)
    assert equal(cycle.run(work, SYSTEM, OPTIONS, KernelMemo(tmp_path)), off)
    assert memo.counts.hits == 1
    assert off.rows_read.sum() == 64 * 12 * 256


def test_streams_from_the_memo_equal_simulated_ones(tmp_path):
    memory = StreamMemory(
        standard="DDR5", organization="DDR5_16Gb_x8", timing="DDR5_3200AN", energy=True, voltage="Default", current="Default"
    )  # fmt: skip
    streams = [Stream(base_bytes=0, extent_bytes=64 * 5000)]
    expected = run_streams(streams, memory)
    KernelMemo(tmp_path)
    run_streams(streams, memory, memo=KernelMemo(tmp_path))
    memo = KernelMemo(tmp_path)
    known = run_streams(streams, memory, memo=memo)
    assert memo.counts.disk_hits == 1 and isinstance(known.cycles, int)
    assert known.total(known.commands) == expected.total(expected.commands)
    assert known.statistics.keys() == expected.statistics.keys()
    assert all(np.array_equal(known.energy_nj[name], values) for name, values in expected.energy_nj.items())
    run_streams([replace(streams[0], kind="write")], memory, memo=memo)
    assert memo.counts.misses == 1


def test_no_key_depends_on_what_changes_no_result(tmp_path):
    with pytest.raises(TypeError):
        memo_key(object())
