"""The door to the compiled core."""

from __future__ import annotations

import builtins
from dataclasses import replace

import numpy as np
import pytest

from moeram.errors import EngineError
from moeram.hardware import CycleOptions, cycle, load_system, lower

OPTIONS = CycleOptions(
    hidden_size=2048, intermediate_size=1024, bits_per_weight=16, bytes_per_activation=2, result_row=32767, threads=3
)


def one_expert():
    return lower(np.array([[0, 12]], dtype=np.int32), np.zeros((1, 2, 1, 1), dtype=np.int16))


def test_the_system_reaches_the_core(fake_core):
    times = cycle.run(one_expert(), load_system("stratum_l"), replace(OPTIONS, overlap_silu=False))
    (call,) = fake_core.calls
    assert (call.config.chips, call.config.mode_switch_ns, call.config.channel_io_gb_per_s) == (6, 100, 51.2)
    assert (call.config.overlap_silu, call.config.overlap_all_gather) == (False, True)
    assert (call.config.unit_clock_ps, call.config.shared_memory_bytes_per_pu) == (1000, 1310720)
    assert call.threads == 3 and times.time_ps.shape == (1,)


def test_without_a_compiled_core_the_message_says_what_to_do(monkeypatch):
    real = builtins.__import__

    def no_core(name, globals=None, locals=None, fromlist=(), level=0):
        if name == "moeram" and fromlist and "_core" in fromlist:
            raise ImportError("libyaml-cpp.so: cannot open")
        return real(name, globals, locals, fromlist, level)

    monkeypatch.setattr(builtins, "__import__", no_core)
    cycle.load_core.cache_clear()
    with pytest.raises(EngineError, match=r"_core.* cannot be loaded: libyaml-cpp.so.*pip install"):
        cycle.run(one_expert(), load_system("stratum_s"), OPTIONS)


def test_answers_of_a_wrong_shape_or_without_time_are_refused(fake_core, monkeypatch):
    answer = fake_core.run_nmp
    system = load_system("stratum_s")
    monkeypatch.setattr(
        fake_core, "run_nmp", lambda *a, **k: answer(*a, **k) | {"time_ps": np.zeros(1, dtype=np.int64)}
    )
    with pytest.raises(EngineError, match="layer 0 of the work took no time"):
        cycle.run(one_expert(), system, OPTIONS)
    monkeypatch.setattr(fake_core, "run_nmp", lambda *a, **k: answer(*a, **k) | {"time_ps": np.ones(2, dtype=np.int64)})
    with pytest.raises(EngineError, match="time_ps of shape"):
        cycle.run(one_expert(), system, OPTIONS)


def test_all_cores_by_default():
    assert cycle.usable_threads(5) == 5
    assert cycle.usable_threads(None) >= 1
