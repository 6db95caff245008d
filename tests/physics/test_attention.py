"""Decode attention near memory: rows and tokens conserved, times beside their closed forms (stratum.md 2.6)."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moeram.errors import CapacityError, ConfigError
from moeram.hardware import KernelMemo, load_system, lower_attention, run_attention
from moeram.hardware.attention import group_size
from moeram.metrics import attention_table
from moeram.model import load_model

MIXTRAL, SYSTEM = load_model("mixtral-8x7b"), load_system("stratum_s")
RESULT_ROW = 32767
TOKEN_BYTES = 256  # 128 elements of two bytes
TRC_NS = (34.56, 36.19, 38.26, 40.77, 43.71, 47.09, 50.90, 55.15)


def run(tokens, *, model=MIXTRAL, system=SYSTEM, layers=1, first_row=0, units=None, new=1, **options):
    work = lower_attention(
        model, tokens, system, first_row=first_row, rows=32000, layers=layers, units_per_group=units, new_tokens=new
    )
    return work, run_attention(work, system, result_row=RESULT_ROW, threads=1, **options)


@settings(max_examples=25, deadline=None, database=None, derandomize=True)
@given(
    tokens=st.lists(st.integers(1, 9000), min_size=1, max_size=4),
    units=st.sampled_from([1, 2, 4, 8, 16]),
    first_row=st.integers(0, 20000),
    overlap=st.booleans(),
)
def test_every_cache_row_is_read_once_and_every_token_is_seen(tokens, units, first_row, overlap):
    """Rows counted here from the round-robin alone: unit u of a group of G owns (T - u) / G tokens, rounded up."""
    _, times = run(tokens, units=units, first_row=first_row, overlap_softmax=overlap)
    a_row = 16 * 4096 // TOKEN_BYTES
    rows = sum(2 * ceil(max(0, ceil((count - unit) / units)) / a_row) for count in tokens for unit in range(units))
    assert times.rows_read[0].sum() == rows * 8 * 16  # heads, banks
    assert times.tokens_read[0].sum() == 8 * sum(tokens)
    assert times.macs[0] == 2 * 8 * sum(tokens) * 128 * 4  # keys and values, four query heads a key head
    results = ceil(ceil(8 * len(tokens) / (16 // units)) * ceil(512 / units) * 2 / 65536)
    written = 2 * 8 * len(tokens) * 16 + 16 * min(16 // units, 8 * len(tokens)) * units * results
    assert times.rows_written[0].sum() == written


def test_written_tokens_go_around_the_group():
    """Over 37 steps each unit of a group of 4 gets 9 or 10 of every head's tokens."""
    written = sum(run([1000 + step], units=4)[1].tokens_written[0] for step in range(37))
    heads = 2  # of each group
    assert written.sum() == 37 * 8
    assert set((written / heads).tolist()) == {9.0, 10.0}


def test_all_chips_take_part():
    """32 requests of 8 heads on 12 chips: 256 heads over 12 chips x 16 / G groups, one more here or there."""
    system = load_system("stratum_xl")
    work, _ = run([4096] * 32, system=system)
    heads = np.bincount(work.head[:, 0], minlength=12 * 16 // work.units_per_group)
    assert heads.max() - heads.min() <= 1 and heads.min() >= 2


@pytest.mark.parametrize("tier", [0, 4, 7])
def test_long_caches_stream_at_the_internal_bandwidth(tier):
    """OLMoE's 16 heads of 2^18 tokens: the rows' cycles, and nothing else, within 1 %.

    One query a head (8 ns of tensor cores a row): cache bytes / (256 x 4 KB / tRC of the tier).
    """
    model = load_model("olmoe-1b-7b")
    tokens = 1 << 18
    _, times = run([tokens], model=model, first_row=4096 * tier)
    cache = 2 * 16 * tokens * TOKEN_BYTES
    ideal_ns = cache / (256 * 4096 / TRC_NS[tier])
    assert times.time_ps[0] / 1e3 == pytest.approx(ideal_ns, rel=0.01)
    assert times.time_ps[0] / 1e3 > ideal_ns * 0.999


def test_grouped_queries_make_it_compute_bound():
    """16 queries a key head take 128 ns of tensor cores a row, more than any row cycle; within 3 %."""
    model = replace(load_model("olmoe-1b-7b"), heads=64, kv_heads=4)
    tokens = 1 << 17
    _, times = run([tokens], model=model)
    rows = 2 * 4 * tokens * TOKEN_BYTES / (256 * 4096)
    assert times.time_ps[0] / 1e3 == pytest.approx(rows * 128, rel=0.03)


def ring_ns(units, slice_bytes, hop=2):
    """All to all: 8 steps around the ring of 16, units - 1 along a part of it; 128 B a step and the cycles of a hop."""
    return (8 if units == 16 else units - 1) * (ceil(slice_bytes / 128) + hop)


def short_ns(units, hop):
    """One head of 64 tokens, four queries, caches in tier 1, outputs in tier 8: the sum of its steps.

    The last unit has the new token: its value row is open when the token arrives (8 + 20.625 + 4.77 + 2.29 ns to the key row's
    write), the key row is read right after it is written. A row of 64 / units tokens: 256 bytes each over 16 banks.
    """
    own, slice_bytes = 64 // units, 4 * 128 // units * 2
    blocks, vectors = ceil(ceil(own / 16) * TOKEN_BYTES / 512), ceil(4 * own / 256)
    softmax = vectors * (1 + 6 + 1) + 4
    arrived = 100 + (slice_bytes + 2 * TOKEN_BYTES) / 51.2
    key_written = arrived + WRITE_NS + 4.77 + 2.29
    keys = max(arrived + ring_ns(units, slice_bytes, hop), key_written + 8) + blocks * 4
    value_streams = key_written + WRITE_NS + 4.77 + 2.29
    values = max(keys + softmax + 2 * ring_ns(units, 8, hop), value_streams) + blocks * 4
    reduced = values + 4 * 128 / 16 + ring_ns(units, slice_bytes, hop)
    result_open = value_streams + 27.50 + 4.77 + 22.88
    return max(reduced, result_open) + 8 + 100 + slice_bytes / 51.2, softmax


WRITE_NS = 8 + 20.625  # a row's data and their recovery


@pytest.mark.parametrize("units", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("hop", [2, 50])
def test_a_short_cache_is_the_sum_of_its_steps(units, hop):
    """Nothing overlaps, every step has its time, the exchanges theirs twice; 0.2 ns for rounding to the clock."""
    model = replace(load_model("olmoe-1b-7b"), heads=4, kv_heads=1)
    ring = SYSTEM.ring.model_copy(update={"ring_hop_cycles": hop})
    _, times = run([64], model=model, units=units, system=SYSTEM.model_copy(update={"ring": ring}))
    wanted, softmax = short_ns(units, hop)
    assert times.busy_ps["exchange"][0] / 1e3 == 2 * ring_ns(units, 8, hop)
    assert times.busy_ps["softmax"][0] / 1e3 == softmax
    assert times.time_ps[0] / 1e3 == pytest.approx(wanted, abs=0.2)


def test_another_head_hides_softmax():
    """With two heads a group and overlap, the second head's keys run beside the first one's softmax, so less time passes."""
    times = {overlap: run([8192], units=4, overlap_softmax=overlap)[1] for overlap in (True, False)}
    assert times[True].time_ps[0] < times[False].time_ps[0]
    saved = times[False].time_ps[0] - times[True].time_ps[0]
    one_head = (times[True].busy_ps["softmax"][0] + times[True].busy_ps["exchange"][0]) // 2
    assert saved <= one_head + times[True].busy_ps["tensor"][0] // 4
    assert (times[True].rows_read == times[False].rows_read).all()


def test_groups_keep_two_heads():
    for heads, system, wanted in (
        (8, "stratum_s", 4),
        (16, "stratum_s", 2),
        (32, "stratum_s", 1),
        (2, "stratum_s", 16),
    ):
        assert group_size(heads, load_system(system)) == wanted


def test_memo_and_threads_change_nothing():
    memo = KernelMemo()
    work = lower_attention(MIXTRAL, [700, 3000], SYSTEM, first_row=4000, rows=2000, layers=3)
    answers = [
        run_attention(work, SYSTEM, result_row=RESULT_ROW, **options)
        for options in ({"memo": memo}, {"memo": memo}, {"threads": 2}, {"reuse_identical_groups": False})
    ]
    assert memo.counts.memory_hits == 1
    for name in ("time_ps", "macs", "rows_read", "rows_written", "tokens_read", "tokens_written", "link_bytes"):
        assert all((getattr(one, name) == getattr(answers[0], name)).all() for one in answers), name


def test_what_does_not_fit_is_refused():
    with pytest.raises(CapacityError, match="need 65 rows|rows of a bank"):
        lower_attention(MIXTRAL, [100_000], SYSTEM, first_row=0, rows=10)
    with pytest.raises(ConfigError, match="divisors of 16"):
        lower_attention(MIXTRAL, [100], SYSTEM, first_row=0, rows=1000, units_per_group=3)
    with pytest.raises(CapacityError, match="shared memory"):
        run([1 << 20], units=1)
    with pytest.raises(ConfigError, match="key and value heads only"):
        lower_attention(load_model("deepseek-v3"), [100], SYSTEM, first_row=0, rows=1000)
    with pytest.raises(CapacityError, match="results at row"):
        run([100], first_row=RESULT_ROW - 1)


def test_energy_of_the_table_by_hand():
    """Two layers' rows x 4 KB x 8 x 0.429 pJ, 0.604 pJ a multiply-accumulate, 3.09 W, 2.5 pJ a bit of the link."""
    model = replace(MIXTRAL, layers=2, moe_layers=(0, 1))
    table = attention_table(model, SYSTEM, [[900, 2000]], first_row=0, rows=4000, result_row=RESULT_ROW, threads=1)
    line = {name: table[name][0] for name in table.columns}
    assert line["mac_uj"] == pytest.approx(2 * 2 * 8 * 2900 * 128 * 4 * 0.604e-6)
    rows = line["rows_read"] + line["rows_written"]
    assert line["dram_to_logic_uj"] == pytest.approx(rows * 4096 * 8 * 0.429e-6)
    assert line["logic_other_uj"] == pytest.approx(line["time_us"] * 3.09)
    # A layer and request: 32 query heads in and out, 8 new keys and values, 128 elements of two bytes.
    assert line["link_uj"] == pytest.approx(2 * 2 * (2 * 32 + 2 * 8) * 128 * 2 * 8 * 2.5e-6)
