"""Power by tier, caps, temperature and refresh against arithmetic on published figures."""

from __future__ import annotations

import numpy as np
import pytest

import moeram
from moeram.hardware import load_system
from moeram.metrics.power import steady_rise_k, tier_power_table
from moeram.metrics.refresh import refreshed_by_reads
from moeram.model import load_model

OLMOE = load_model("olmoe-1b-7b")


def quantity(table, name, **where):
    return table.where(quantity=name, **where)["value"]


def test_tier_power_meets_the_published_peaks():
    """stratum.md 1.4 and 2.3: 104.1 W of DRAM in tier 1 at one token; at 8 ns a token the MACs draw 39.58 W."""
    table = tier_power_table(load_system("stratum_s"), OLMOE)
    one = quantity(table, "stack power (W)", tier=1, tokens=1)[0]
    assert one == pytest.approx(104.1 + 39.58 * 8 / 34.56 + 3.09, abs=0.1)
    busy = quantity(table, "stack power (W)", tier=8, tokens=16)[0]
    assert busy == pytest.approx(65.2 * 55.15 / 128 + 39.58 + 3.09, abs=0.1)


def test_a_cap_lengthens_rows_until_their_power_is_the_cap():
    table = tier_power_table(load_system("stratum_s", {"thermal": {"power_cap_w": 80.0}}), OLMOE)
    free = tier_power_table(load_system("stratum_s"), OLMOE)
    power, uncapped = quantity(table, "stack power (W)"), quantity(free, "stack power (W)")
    assert (power <= 80 + 1e-9).all() and (uncapped > 80).any()
    assert power[uncapped > 80] == pytest.approx(80)
    assert power[uncapped <= 80].tolist() == uncapped[uncapped <= 80].tolist()
    energy = lambda t: (quantity(t, "stack power (W)") - 3.09) * quantity(t, "time of a row (ns)")
    assert energy(table) == pytest.approx(energy(free))


def test_steady_rise_is_power_over_walls():
    system = load_system("stratum_s", {"thermal": {"stack_k_per_w": 0.3}})
    assert steady_rise_k(system, 100.0) == pytest.approx(100 * (0.01 + 1e-3 / (5000 * 121e-6) + 0.3))


def test_steps_draw_no_more_than_the_published_peak_and_caps_cost_time():
    free = moeram.run("quickstart", batch=[1, 16], samples=1)
    capped = moeram.run("quickstart", batch=[1, 16], samples=1, hardware_values={"thermal": {"power_cap_w": 60.0}})
    power, held = free["power"], capped["power"]
    assert power["step_time_us"].tolist() == power["capped_step_time_us"].tolist() == held["step_time_us"].tolist()
    assert (power["hottest_layer_w"] < 144.53).all() and (power["hottest_layer_w"] * (1 + 1e-9) >= power["stack_w"]).all()
    energy = free["energy"]
    for row in power.rows():
        parts = energy.where(placement=row["placement"], batch=row["batch"])
        stack = sum(parts["energy_uj"][parts["component"] == name][0] for name in ("dram_to_logic", "mac", "logic_other"))
        assert row["stack_w"] == pytest.approx(stack / row["step_time_us"])
    assert (held["capped_step_time_us"] >= np.maximum(held["step_time_us"], held["stack_w"] * held["step_time_us"] / 60) * (1 - 1e-12)).all()


def test_refreshed_by_reads_counts_tokens():
    """Against a simulation of independent tokens."""
    use = np.array([[0.0, 0.01, 0.5, 1.0]])
    found = refreshed_by_reads(use, batch=4, steps=5.9, shared=1)
    rng = np.random.default_rng(0)
    drawn = (rng.random((20000, 4 * 5, 4)) < use).any(axis=1).mean(axis=0)
    assert found[0, :4] == pytest.approx(drawn, abs=0.01) and found[0, 4] == 1
    assert not refreshed_by_reads(use, batch=4, steps=0.9, shared=1).any()


def test_refresh_of_every_row_is_the_sum_of_row_cycles_over_the_retention_time():
    values = {"retention": {"retention_ms": 64.0}}
    record = moeram.run("quickstart", batch=[4], samples=1, hardware_values=values, placements=["no_tiering", "topic_aware"])
    flat, tiered = record["refresh"].rows()
    layout = record.resolved["rows_of_a_bank"]
    rows = 16 * 64 * layout["rows_per_expert"] + layout["kv_rows"] + layout["non_nmp_rows"]
    assert flat["rows_with_data"] == tiered["rows_with_data"] == rows
    assert flat["bank_time_share_all"] == pytest.approx(rows * 55.15e-9 / 64e-3)
    assert tiered["power_all_w"] == pytest.approx(rows * 256 * 4096 * 8 * 0.429e-12 / 64e-3)
    assert tiered["bank_time_share_all"] < flat["bank_time_share_all"]
    assert 0.9 < tiered["expert_rows_read_share"] <= 1
    assert "refresh" not in moeram.run("quickstart", batch=[4], samples=1).tables
