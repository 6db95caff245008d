"""Serving metrics from hand-made records, conservation over the time series."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moeram.errors import ConfigError
from moeram.metrics.serving import (
    energy_table,
    latency_table,
    percentile,
    throughput_table,
    time_series,
    tpot_ps,
    ttft_ps,
    utilisation_table,
)
from moeram.serving import BatchingOptions, Peaks, PricedStep, Requests, serve

MS = 1_000_000_000


class Alternating:
    """Steps of 2 ms with a prompt, of 1 ms without; the memory works in half of each, the bound is half."""

    kv_capacity_tokens = 10_000
    peaks = Peaks(bytes_per_ps={"dram": 1.0}, operations_per_ps={"unit": 2.0}, waiting_w=5e-3)

    def price(self, step):
        time_ps = 2 * MS if len(step.prefill) else MS
        return PricedStep(
            time_ps=time_ps,
            bound_ps=time_ps // 2,
            fidelity="analytic",
            parts_ps={"memory": time_ps // 2},
            energy_pj={"dram": 3e6 * step.tokens},
            moved_bytes={"dram/kv read": time_ps // 4, "dram/routed experts": MS // 4, "dram/norms": MS // 8},
            operations={"unit": time_ps},
        )


@pytest.fixture
def record():
    asked = Requests(
        arrival_ps=np.array([0, 10 * MS]),
        prompt_tokens=np.array([8, 8]),
        output_tokens=np.array([5, 1]),
        topic=np.zeros(2, dtype=np.int64),
        source="test",
    )
    return serve(asked, Alternating(), BatchingOptions())


def test_latencies(record):
    # First request: 2 ms to its first token, 4 more a ms apart. Second: arrives at 10 ms, one token.
    assert (ttft_ps(record) / MS).tolist() == [2, 2]
    assert tpot_ps(record)[0] == MS
    assert math.isnan(tpot_ps(record)[1])
    rows = {row["latency"]: row for row in latency_table(record).rows()}
    assert rows["TTFT"]["mean_ms"] == 2
    assert rows["ITL"]["values"] == 4
    assert rows["request"]["p99_ms"] == 6
    assert rows["TPOT"]["values"] == 1


def test_throughput_and_goodput(record):
    row = next(throughput_table(record, gpus=2, ttft_limit_ms=3, tpot_limit_ms=2).rows())
    assert row["tokens_per_s"] == pytest.approx(6 / 12e-3)
    assert row["tokens_per_s_per_gpu"] == pytest.approx(3 / 12e-3)
    assert row["tokens_per_s_per_user"] == pytest.approx(1000)
    # Eight milliseconds of steps would have been four.
    assert row["bound_tokens_per_s"] == pytest.approx(6 / 8e-3)
    assert row["met_share"] == 1
    # 8 + 4 + 8 tokens through the model for 6 that came out.
    assert row["energy_per_token_uj"] == row["work_energy_per_token_uj"] == pytest.approx(20 * 3 / 6)
    assert row["run_energy_per_token_uj"] == pytest.approx((60 + 20) / 6)
    strict = next(throughput_table(record, gpus=1, ttft_limit_ms=3, tpot_limit_ms=0.5).rows())
    assert strict["met_share"] == 0.5
    with pytest.raises(ConfigError, match="tpot_limit_ms"):
        throughput_table(record, gpus=1, ttft_limit_ms=3, tpot_limit_ms=0)


def test_utilisation_and_energy(record):
    row = next(utilisation_table(record).rows())
    assert row["share_of_steps"] == pytest.approx(0.5)
    assert row["share_of_run"] == pytest.approx(4 / 12)
    energy = {row["component"]: row for row in energy_table(record).rows()}
    assert energy["dram"]["energy_uj"] == pytest.approx(60)
    # Nothing runs for 4 of 12 ms.
    assert energy["between steps"]["energy_uj"] == pytest.approx(5e-3 * 4e-3 * 1e6)
    assert [row["idle"] for row in energy.values()] == [True, False]
    for row in energy.values():
        assert row["mean_power_w"] * 12e-3 == pytest.approx(row["energy_uj"] * 1e-6)


@pytest.mark.parametrize("every_ms", [0.3, 1, 5, 100])
def test_time_series_conserves_what_it_spreads(record, every_ms):
    series = time_series(record, every_ms * 1e6)
    width_s = every_ms * 1e-3
    assert series["tokens_per_s"].sum() * width_s == pytest.approx(6)
    busy = sum(record.parts_ps.values()) * 1e-12
    assert series["memory_busy_share"].sum() * width_s == pytest.approx(busy)
    running = (record.steps["decode_requests"] * record.steps["time_ps"]).sum() * 1e-12
    assert series["mean_decode_requests"].sum() * width_s == pytest.approx(running)
    with pytest.raises(ConfigError, match="every_ns"):
        time_series(record, 0)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), min_size=1), st.integers(1, 100))
def test_percentile_is_that_of_the_written_out_values(pairs, percent):
    values = np.array([value for value, _ in pairs])
    counts = np.array([count for _, count in pairs])
    written_out = np.sort(np.repeat(values, counts))
    if not len(written_out):
        assert math.isnan(percentile(values, percent, counts))
    else:
        expected = written_out[math.ceil(Fraction(percent, 100) * len(written_out)) - 1]
        assert percentile(values, percent, counts) == expected


def test_latencies_stand_beside_their_bounds():
    """Steps without a break whose bounds are 40 % of their times: so is every mean latency's."""

    class Slow:
        kv_capacity_tokens, origins = 1 << 30, ()
        peaks = Peaks(bytes_per_ps={}, operations_per_ps={}, waiting_w=0.0)

        def price(self, step):
            return PricedStep(time_ps=10 * step.tokens, bound_ps=4 * step.tokens, fidelity="analytic")

    columns = [np.array(values, dtype=np.int64) for values in ([0, 0, 0], [5, 7, 9], [1, 4, 6], [0, 0, 0])]
    names = ("arrival_ps", "prompt_tokens", "output_tokens", "topic")
    asked = Requests(**dict(zip(names, columns, strict=True)), source="here")
    rows = latency_table(serve(asked, Slow(), BatchingOptions(max_requests=2, prefill_tokens=6))).rows()
    for row in rows:
        assert row["bound_mean_ms"] == pytest.approx(0.4 * row["mean_ms"], rel=1e-12), row["latency"]
