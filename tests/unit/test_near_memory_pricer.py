"""Stratum's machine as a pricer: energy of every part, and a baseline without tiers that is slow everywhere."""

from __future__ import annotations

import numpy as np
import pytest

from moeram.experiment import load_serving
from moeram.experiment.serving import make_pricer
from moeram.experiment.sources import open_source
from moeram.model import load_model
from moeram.serving.step import Step
from moeram.serving.system import load_serving_system

NONE = np.zeros(0, dtype=np.int64)


def priced(context_tokens=2000, **values):
    experiment = load_serving("mixtral_stratum_l", values=values)
    model, system = load_model(experiment.model), load_serving_system(experiment.system)
    pricer = make_pricer(experiment, model, system, open_source(experiment.routing, model, experiment.seed))
    zeros = np.zeros(4, dtype=np.int64)
    return pricer.price(
        Step(
            decode=np.arange(4), context_tokens=zeros + context_tokens, topic=zeros, prefill=NONE, chunk_tokens=NONE, chunk_start=NONE,
            prefill_topic=NONE,
        )
    )  # fmt: skip


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
