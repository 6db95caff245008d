"""Tiers cut anywhere and weights of any width, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

import moeram
from moeram.errors import ConfigError
from moeram.hardware import load_system
from moeram.metrics.steps import roofline_ps
from moeram.model import load_model
from moeram.placement import row_budget


def test_naming_the_uniform_split_changes_nothing():
    uniform = moeram.run("quickstart", batch=[4], samples=1)
    named = {"device": {"tier_layers": list(range(128, 1025, 128))}}
    again = moeram.run("quickstart", batch=[4], samples=1, hardware_values=named)
    assert uniform["points"]["step_time_us"].tolist() == again["points"]["step_time_us"].tolist()


@pytest.mark.parametrize("last", [[1024], [100, 1024], [7, 300, 301, 1024]])
def test_rows_have_the_timing_of_their_tier_wherever_it_ends(engine, last):
    """tRCD(L) of a tier's last layer, rounded up to 25 ps; the rows of an expert are counted in the tiers that they lie in."""
    options = {"tiers": len(last), "tier_layers": last}
    config = engine.core.NmpConfig(hidden_size=2048, intermediate_size=1024, **options)
    begin = 0
    for layer, (first, end, timing) in zip(last, config.tier_timing, strict=True):
        assert (first, end) == (begin, layer * 32)
        begin = end
        trcd_ns = 1.098 + 7.629e-3 * layer + 1.3324e-5 * layer**2
        assert trcd_ns <= timing["nRCD"] * 0.025 < trcd_ns + 0.025
        assert timing["nRC"] * 0.025 == pytest.approx(trcd_ns + 32.27, abs=0.06)
    start = last[0] * 32 - 5 if len(last) > 1 else 0
    rows = engine.run([[(start, 1)]], batch=1, options=options)["rows_read"][0].sum(axis=0)
    tiers = np.searchsorted(np.array(last) * 32, np.arange(start, start + 12), side="right")
    assert rows.tolist() == (np.bincount(tiers, minlength=len(last)) * 256).tolist()


def test_a_system_says_what_its_tiers_are():
    system = load_system("stratum_s", {"device": {"tiers": 2, "tier_layers": [100, 1024]}})
    assert system.device.tier_rows.tolist() == [0, 3200, 32768]
    assert system.device.tier_of(np.array([0, 3199, 3200, 32767])).tolist() == [0, 0, 1, 1]
    assert system.closed_form.row_cycle_ns == pytest.approx([34.264, 55.151], abs=2e-3)
    with pytest.raises(ConfigError, match="tier_layers: given"):
        load_system("stratum_s", {"device": {"tiers": 3, "tier_layers": [100, 1024]}})
    assert load_system("stratum_s").closed_form.row_cycle_ns == pytest.approx(
        load_system("stratum_s", {"device": {"tiers": 8}}).closed_form.row_cycle_ns, abs=0.01
    )


@pytest.mark.parametrize(("bits", "block"), [(8, 256), (8, 512), (4, 128), (4, 512), (16, 512)])
def test_a_row_takes_the_multipliers_its_weights_need(engine, bits, block):
    """At 32 tokens the multipliers bound an expert: row_bytes / block cycles of 1 ns for each row and token, last row in part."""
    answer = engine.run([[(0, 32)]], batch=32, options={"bits_per_weight": bits, "mac_block_bytes": block})
    expert_bytes = 3 * 2048 * 1024 * bits // 8
    assert answer["busy_ps"]["tensor"][0] == 32 * expert_bytes // (256 * block) * 1000
    assert answer["weight_macs"][0] == 32 * 3 * 2048 * 1024


@pytest.mark.parametrize("precision", ["", "experts=int4"])
def test_roofline_is_the_sum_over_rows(precision):
    """Against a loop over experts and their rows."""
    from dataclasses import replace

    from moeram.hardware.lowering import NmpWork
    from moeram.model import parse_precision

    model, system = load_model("mixtral-8x7b"), load_system("stratum_l")
    if precision:
        model = replace(model, precision=parse_precision(precision, model.precision))
    budget = row_budget(model, system, phi="compact", kv_requests=4, context_tokens=128, batch=8)
    rng = np.random.default_rng(0)
    first = rng.choice(300, 5, replace=False).astype(np.int32) * budget.rows_per_expert
    tokens = rng.integers(1, 12, 5).astype(np.int32)
    begin = np.array([0, 2, 5])
    work = NmpWork(layer_begin=begin, expert=np.arange(5, dtype=np.int32), first_row=first, tokens=tokens, batch=12)
    found = roofline_ps(work, model=model, system=system, budget=budget, one_tier=False)
    row_cycle = system.closed_form.row_cycle_ns
    wanted = [0.0, 0.0]
    for index in range(5):
        left = model.expert_bytes / system.row_set_bytes
        for row in range(first[index], first[index] + budget.rows_per_expert):
            wanted[int(index >= 2)] += max(row_cycle[row * 8 // 32768], 8 * tokens[index] * min(left, 1))
            left -= 1
    assert found / 1e3 == pytest.approx(wanted)
