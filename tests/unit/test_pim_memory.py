"""Memory with units at its banks, against the table of sieve.md 5.1."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moeram.errors import ConfigError
from moeram.hardware.memories import load_memory, memory_names
from moeram.model import load_model

# Nanoseconds of one token through one expert: K-split with one row buffer, with two, pure output split with two (sieve.md 5.1).
PUBLISHED = {
    "qwen3.5-397b-a17b": (632, 525, 1181),
    "gpt-oss-120b": (1264, 1014, 1315),
    "qwen3-30b-a3b": (272, 272, 700),
}


def of_bf16(name):
    """The model with experts in bf16, as the paper runs all of them."""
    model = load_model(name)
    plain = load_model("qwen3-30b-a3b").precision
    return replace(model, precision=replace(model.precision, experts=plain.experts, shared=plain.shared))


@pytest.mark.parametrize("name", PUBLISHED)
def test_one_token_takes_its_published_time(name):
    memory, model = load_memory("hbm3e_pim"), of_bf16(name)
    single, dual, outputs = PUBLISHED[name]
    assert memory.model_copy(update={"dual_row_buffer": False}).token_ps(model) == pytest.approx(single * 1e3, abs=600)
    assert memory.token_ps(model) == pytest.approx(dual * 1e3, abs=600)
    assert memory.model_copy(update={"layout": "output_split"}).token_ps(model) == pytest.approx(outputs * 1e3, abs=600)
    assert 1.8 < memory.token_ps(model) / memory.roofline_ps(model) < 4.2


def test_geometry_and_peaks():
    memory = load_memory("hbm3e_pim")
    assert memory.units == 6144
    assert memory.peak_bytes_per_ps == pytest.approx(98.3, abs=0.01)  # TB/s
    assert memory.awake == pytest.approx(1 - 400 / 3900)


def test_tokens_of_an_expert_are_a_chain():
    memory, model = load_memory("hbm3e_pim"), of_bf16("qwen3-30b-a3b")
    priced = memory.expert_ps(np.array([0, 1, 7]), model)
    assert priced.time_ps[0] == 0
    assert priced.time_ps[2] == pytest.approx(7 * priced.time_ps[1], rel=1e-4)


def test_other_widths_and_impossible_refresh_are_refused(tmp_path):
    memory = load_memory("hbm3e_pim")
    with pytest.raises(ConfigError, match="16-bit weights"):
        memory.token_ps(load_model("gpt-oss-120b"))
    with pytest.raises(ConfigError, match="hbm3e_pim"):
        load_memory("hbm3_pim")
    (tmp_path / "m.yaml").write_text(
        "\n".join(f"{key}: {value}" for key, value in {**memory.model_dump(), "refresh_ns": 4000}.items()).replace(
            "True", "true"
        ),
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match="leaves no time"):
        load_memory(tmp_path / "m.yaml")
    assert set(memory_names()) == {"hbm3e_pim", "hbm3_attacc", "hbm3_duplex", "mono3d_l"}
