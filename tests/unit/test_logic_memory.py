"""Units on the logic die: the roofline of Duplex, and the policies that were made for it."""

from __future__ import annotations

import numpy as np
import pytest

from moeram.errors import ConfigError
from moeram.hardware.memories import load_memory
from moeram.hardware.pim_memory import PimMemory
from moeram.model import load_model


def test_the_ridge_lies_at_eight_operations_a_byte():
    # sieve.md 11.1: 4 x the bandwidth, 21.3 TFLOPS a stack, 8 operations a byte.
    memory = load_memory("hbm3_duplex")
    assert memory.peak_operations_per_ps / memory.peak_bytes_per_ps == pytest.approx(8, rel=0.01)


def test_weights_are_reused_until_the_lanes_are_full():
    memory, model = load_memory("hbm3_duplex"), load_model("mixtral-8x7b")
    times = memory.expert_ps(np.array([0, 1, 7, 16, 32]), model).time_ps
    assert times[0] == 0
    assert times[1] == times[2] == pytest.approx(model.expert_bytes / 13.4 / 0.85 / memory.awake, rel=1e-6)
    assert times[4] == pytest.approx(2 * times[3], rel=1e-6)
    # At the banks, 16 times the work takes 16 times as long.
    banks = load_memory("hbm3_attacc").expert_ps(np.array([1, 16]), model).time_ps
    assert banks[1] == pytest.approx(16 * banks[0], rel=1e-6)


def test_all_bank_bandwidth_of_attacc_under_its_power_limit():
    # 9 times the external bandwidth under the power limit (sieve.md 11.3): 32 banks a pseudochannel at 6 instead of 2 cycles a column,
    # of a 670.4 GB/s stack that moves 32 bytes in 2 cycles of each of its 32 pseudochannels.
    memory = load_memory("hbm3_attacc")
    assert isinstance(memory, PimMemory)
    assert memory.peak_bytes_per_ps * 1e3 / memory.external_gb_per_s == pytest.approx(32 / 3 * 665.8 / 670.4, rel=0.01)


def test_a_kind_must_be_given(tmp_path):
    (tmp_path / "m.yaml").write_text("kind: bank_unit\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"m\.yaml:1: kind: given 'bank_unit'; did you mean 'bank_units'"):
        load_memory(tmp_path / "m.yaml")
