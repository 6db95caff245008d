"""Stratum's machine as a pricer: energy of every part, and a baseline without tiers that is slow everywhere."""

from __future__ import annotations

import numpy as np
import pytest

from moeram.experiment import load_serving
from moeram.experiment.serving import make_pricer
from moeram.experiment.sources import open_source
from moeram.hardware import load_system, lower_attention, run_attention
from moeram.hardware.cycle import CycleOptions
from moeram.hardware.near_memory_layers import NearMemoryLayers
from moeram.model import load_model
from moeram.serving.step import Step
from moeram.serving.system import load_serving_system

NONE = np.zeros(0, dtype=np.int64)


def pricer_of(**values):
    experiment = load_serving("mixtral_stratum_l", values=values)
    model, system = load_model(experiment.model), load_serving_system(experiment.system)
    return make_pricer(experiment, model, system, open_source(experiment.routing, model, experiment.seed))


def decode(context_tokens):
    zeros = np.zeros(4, dtype=np.int64)
    return Step(
        decode=np.arange(4), context_tokens=zeros + context_tokens, topic=zeros, prefill=NONE, chunk_tokens=NONE, chunk_start=NONE,
        prefill_topic=NONE,
    )  # fmt: skip


def priced(context_tokens=2000, **values):
    return pricer_of(**values).price(decode(context_tokens))


def test_energy_of_link_and_of_a_waiting_processor():
    step = priced()
    link_bytes = sum(size for name, size in step.moved_bytes.items() if name.startswith("link/"))
    assert step.energy_pj["link"] == pytest.approx(link_bytes * 8 * 2.5)  # U6: 2.5 pJ/bit
    waiting_ps = step.time_ps - step.parts_ps["gpu"]
    assert step.energy_pj["gpu idle"] == pytest.approx(waiting_ps * 70)  # an H100 without work: 70 W
    assert step.energy_pj["gpu"] == pytest.approx(step.parts_ps["gpu"] * 0.65 * 700)


def cache_rows(context_tokens: int) -> int:
    """Four requests, 128 KiB a token, over 1536 banks of 4 KB."""
    return -(-4 * context_tokens * 128 * 1024 // (1536 * 4096))


def test_without_tiers_caches_are_slow_too():
    """The same tokens with two contexts: the rows between them take tier 8's 55.15 ns each."""
    short, long = (priced(context_tokens, **{"placement.policy": "no_tiering"}) for context_tokens in (2000, 200_000))
    more_ps = long.parts_ps["near memory"] - short.parts_ps["near memory"]
    assert more_ps == pytest.approx((cache_rows(200_000) - cache_rows(2000)) * 55150, abs=2)


def test_attention_of_the_engine_and_the_error_of_its_closed_form(tmp_path):
    """Both ways differ by attention alone: what they differ by, and the error that is stated, give the engine's own time of 32 layers."""
    (tmp_path / "engine.yaml").write_text("extends: stratum_l\nnear_memory: {attention: engine}\n", encoding="utf-8")
    made = {system: pricer_of(system=system) for system in ("stratum_l", str(tmp_path / "engine.yaml"))}
    closed_ps, engine_ps = (one.price(decode(2000)).parts_ps["near memory"] for one in made.values())
    found, simulated = (next(o for o in one.origins if "attention" in o.part) for one in made.values())
    assert (found.fidelity, found.against, simulated.fidelity) == ("analytic", "cycle engine", "cycle-memo")
    system, model = load_system("stratum_l"), load_model("mixtral-8x7b")
    work = lower_attention(model, [2000] * 4, system, first_row=0, rows=4000, layers=1)
    alone_ps = 32 * int(run_attention(work, system, result_row=30_000).time_ps[0])
    # Rows of other tiers take other times: the caches here begin at row 0.
    assert (closed_ps - engine_ps) / found.error == pytest.approx(alone_ps, rel=0.15)
    assert found.error < -0.5


def test_layers_without_tiers_do_not_depend_on_their_rows():
    """What lets all lengths share one simulation: the engine, asked anew, agrees for rows anywhere."""
    chips, model = load_system("stratum_s"), load_model("olmoe-1b-7b")
    rows, counts = np.arange(64)[None, :] * 12, np.zeros((1, 64), dtype=np.int64)
    counts[0, ::5] = np.arange(13) % 3 + 1
    times = set()
    for reuse in (True, False):
        options = CycleOptions(
            hidden_size=model.hidden_size, intermediate_size=model.expert_intermediate_size, bits_per_weight=16, bytes_per_activation=2,
            result_row=chips.device.rows - 1, slowest_tier_everywhere=True, threads=1,
        )  # fmt: skip
        layers = NearMemoryLayers(chips, options, rows_per_expert=12, reuse=reuse)
        times |= {int(layers.time_ps(rows + shift, counts, batch=3)[0]) for shift in (0, 4090, 20000)}
    assert len(times) == 1
