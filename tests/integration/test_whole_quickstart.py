"""The quickstart in full: what the reuse of identical channels leaves out changes nothing."""

from __future__ import annotations

import math

import pytest

import moeram


@pytest.mark.slow
def test_simulating_all_sixteen_channels_of_the_quickstart_changes_nothing():
    """Every figure of every table, for all batch sizes, placements, topics and draws; and sixteen times the commands."""
    reused = moeram.run("quickstart", kernel_memo=False, reuse_experts=False)
    every = moeram.run("quickstart", kernel_memo=False, reuse_experts=False, reuse_identical_channels=False)
    assert every.simulated_commands == 16 * reused.simulated_commands
    for name, table in reused.tables.items():
        for left, right in zip(table.rows(), every[name].rows(), strict=True):
            for key, value in left.items():
                other = right[key]
                equal = value == other or (isinstance(value, float) and math.isnan(value) and math.isnan(other))
                assert equal or key == "fidelity", (name, key, value, other)
