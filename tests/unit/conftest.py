"""A stand-in for the compiled core: its interface on a closed form, so that Python's rooms are tested without C++."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

# stratum.md 1.2: tRCD + 27.50 + 4.77 ns of tiers 1 to 8.
ROW_CYCLE_PS = np.array([34560, 36190, 38260, 40770, 43710, 47090, 50900, 55150])
PS_PER_TOKEN_AND_ROW = 8000
CONFIG_KEYS = {
    *("standard", "timing_preset", "dram_layers", "tiers", "tier_layers", "slowest_tier_everywhere", "channels", "banks_per_channel"),
    *("rows", "row_bytes", "chips", "hidden_size", "intermediate_size", "bits_per_weight", "bytes_per_activation"),
    *("mac_block_bytes", "unit_clock_ps", "row_latches", "psum_bytes_per_pe", "shared_memory_bytes_per_pu"),
    *("reducer_outputs_per_cycle", "sfe_lanes", "silu_cycles_per_vector", "hadamard_cycles_per_vector"),
    *("weighted_sum_cycles_per_vector", "ring_bytes_per_cycle", "ring_hop_cycles", "channel_io_gb_per_s"),
    *("mode_switch_ns", "result_row", "overlap_all_gather", "overlap_silu", "overlap_reduce_scatter"),
    *("overlap_weighted_sum", "maximum_cycles_per_vector", "exp_sum_cycles_per_vector", "reciprocal_cycles_per_vector"),
}
RESOURCES = ("link_in", "all_gather", "tensor", "reducer", "sfe", "reduce_scatter", "weighted_sum", "link_out")


class FakeCore:
    """Time of a row = max(row cycle of its tier, 8 ns x tokens); keeps every call for the tests to look at."""

    row_cycle_ps = ROW_CYCLE_PS

    def __init__(self):
        self.calls = []
        self.lose_a_row = False

    def NmpConfig(self, **settings):
        assert set(settings) == CONFIG_KEYS, set(settings) ^ CONFIG_KEYS
        facts = {"rows_per_expert": 1, "tier_timing": [(0, settings["rows"], {})]}
        return SimpleNamespace(**settings, **facts, check_capacity=lambda batch, most_tokens: None)

    def run_nmp(self, config, layer_begin, expert, first_row, tokens, batch, **options):
        assert set(options) == {"threads", "skip", "reuse_identical_channels", "reuse_experts", "trace_dir"}
        assert layer_begin.dtype == np.int64 and expert.dtype == first_row.dtype == tokens.dtype == np.int32
        self.calls.append(
            SimpleNamespace(config=config, layer_begin=layer_begin, expert=expert, batch=batch, **options)
        )
        layers, banks = len(layer_begin) - 1, config.banks_per_channel
        weights = 3 * config.hidden_size * config.intermediate_size
        delta = weights * config.bits_per_weight // 8 // (config.chips * config.channels * banks * config.row_bytes)
        per_bank = np.zeros((layers, config.tiers), dtype=np.int64)
        tier_time = np.zeros((layers, config.tiers), dtype=np.int64)
        macs = np.zeros(layers, dtype=np.int64)
        for layer in range(layers):
            for index in range(layer_begin[layer], layer_begin[layer + 1]):
                tier = np.arange(first_row[index], first_row[index] + delta) // (config.rows // config.tiers)
                row_cycle = ROW_CYCLE_PS[np.full_like(tier, 7) if config.slowest_tier_everywhere else tier]
                np.add.at(per_bank[layer], tier, 1)
                np.add.at(tier_time[layer], tier, np.maximum(row_cycle, PS_PER_TOKEN_AND_ROW * tokens[index]))
                macs[layer] += tokens[index] * weights // config.chips
        rows_read = np.repeat((per_bank * banks)[:, None, :], config.channels, axis=1)
        if self.lose_a_row:
            rows_read[0, 3, 0] -= 1
        return {
            "time_ps": tier_time.sum(axis=1),
            "rows_read": rows_read,
            "rows_written": np.zeros_like(rows_read),
            "tier_time_ps": tier_time,
            "commands": {"ACT": per_bank.sum(axis=1) * config.channels},
            "busy_ps": {name: tier_time.sum(axis=1) for name in RESOURCES},
            "weight_macs": macs,
            "engine": {"commands_simulated": int(per_bank.sum()) * config.channels, "experts": len(expert), "experts_simulated": len(expert)},
        }


@pytest.fixture
def fake_core(monkeypatch):
    """Put a FakeCore in the place of the compiled one; every layer reaches it."""
    core = FakeCore()
    monkeypatch.setattr("moeram.hardware.cycle.load_core", lambda: core)
    monkeypatch.setattr("moeram.hardware.cycle.engine_version", lambda: "fake")
    monkeypatch.setattr("moeram.hardware.cycle.run_with_memo", lambda work, simulate, memo, **_: simulate(work))
    return core


@pytest.fixture
def install_package(tmp_path, monkeypatch):
    """Make a distribution of one module with the given entry points, as pip would leave it; returns the module's file."""

    def make(name, source, entry_points):
        folder = tmp_path / name
        info = folder / f"{name}-1.5.dist-info"
        info.mkdir(parents=True)
        (folder / f"{name}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(entry_points)
        monkeypatch.syspath_prepend(str(folder))
        made.append(name)
        return folder / f"{name}.py"

    made: list[str] = []
    yield make
    for name in made:
        sys.modules.pop(name, None)
