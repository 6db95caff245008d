"""The only user of the compiled cycle engine: near-memory work in, times and counts out."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moeram.errors import EngineError
from moeram.hardware.layer_memo import run_with_memo
from moeram.hardware.lowering import NmpWork
from moeram.hardware.memo import KernelMemo, memo_key
from moeram.hardware.spec import System
from moeram.hardware.standard_files import standard_files

RESOURCES = ("link_in", "all_gather", "tensor", "reducer", "sfe", "reduce_scatter", "weighted_sum", "link_out")


@dataclass(frozen=True, kw_only=True)
class CycleOptions:
    """What a run of the engine needs beside the system: the expert's shape and the switches.

    threads None: all cores this process may use. result_row: the first of the rows that take the results of a layer.
    reuse_identical_channels, reuse_experts: equal channels, and equal experts from equal states, are simulated once.
    """

    hidden_size: int
    intermediate_size: int
    bits_per_weight: int
    bytes_per_activation: int
    result_row: int
    slowest_tier_everywhere: bool = False
    overlap_all_gather: bool = True
    overlap_silu: bool = True
    overlap_reduce_scatter: bool = True
    overlap_weighted_sum: bool = True
    threads: int | None = None
    skip: bool = True
    reuse_identical_channels: bool = True
    reuse_experts: bool = True
    trace_dir: str = ""


@dataclass(frozen=True, kw_only=True)
class StepTimes:
    """What the engine found for L layers: figures of one chip, since all chips do the same work at the same time.

    time_ps: int64 [L]. rows_read, rows_written: int64 [L, channels, tiers], rows of all banks of a channel.
    tier_time_ps: int64 [L, tiers], the row cycles' durations of one channel. commands, busy_ps: name -> int64 [L].
    weight_macs: int64 [L], multiply-accumulates.
    engine: what it was asked for and did itself: experts, experts_simulated (the others were known), commands_simulated (of all
    channels that they stand for).
    """

    time_ps: NDArray[np.int64]
    rows_read: NDArray[np.int64]
    rows_written: NDArray[np.int64]
    tier_time_ps: NDArray[np.int64]
    commands: dict[str, NDArray[np.int64]]
    busy_ps: dict[str, NDArray[np.int64]]
    weight_macs: NDArray[np.int64]
    engine: dict[str, int]


@cache
def load_core() -> ModuleType:
    """Return the compiled core.

    Raises:
        EngineError: it is missing or cannot be loaded; says how to get it.
    """
    try:
        from moeram import _core
    except ImportError as error:
        raise EngineError(
            f"the compiled part of moeram (moeram._core) cannot be loaded: {error}. "
            "Install moeram with `pip install .` from its repository (needs g++ >= 12 or clang >= 15); "
            "when running from a source checkout, leave its python/ folder out of PYTHONPATH."
        ) from error
    return _core


def usable_threads(threads: int | None) -> int:
    """Return the number of threads to use; None means every core that this process may run on."""
    if threads is not None:
        return threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def engine_version() -> str:
    """Return the SHA-256 (hex) of the compiled core: another engine may find other times."""
    return hashlib.sha256(Path(load_core().__file__).read_bytes()).hexdigest()


def engine_and_standard(standard: str) -> list[str]:
    """Return what a key has for the engine and a DRAM standard: hashes of the core and of every file that a standard given by path is made of."""
    return [engine_version(), *standard_files(standard).values()]


def run(work: NmpWork, system: System, options: CycleOptions, memo: KernelMemo | None = None) -> StepTimes:
    """Simulate the work of all layers, each from a drained unit, on one chip of the system.

    With a memo, layers that it knows are not simulated again, and equal layers once; figures are the same. Runs that
    write command traces simulate everything.

    Raises:
        EngineError: the core is missing, refuses the configuration or answers with arrays that do not fit the work.
        CapacityError: a buffer of the unit is too small.
    """
    core = load_core()
    files = tuple(standard_files(system.device.standard).values())
    config = _core_configuration(core, files, tuple(configuration(system, options).items()))

    done: Counter[str] = Counter(experts=0, experts_simulated=0, commands_simulated=0)

    def simulate(part: NmpWork) -> dict[str, Any]:
        answer = core.run_nmp(
            config,
            part.layer_begin,
            part.expert,
            part.first_row,
            part.tokens,
            part.batch,
            threads=usable_threads(options.threads),
            skip=options.skip,
            reuse_identical_channels=options.reuse_identical_channels,
            reuse_experts=options.reuse_experts,
            trace_dir=options.trace_dir,
        )
        done.update(answer.pop("engine"))
        return answer

    if memo is None or options.trace_dir:
        answer = simulate(work)
    else:
        tiers = config.tier_timing
        answer = run_with_memo(
            work,
            simulate,
            memo,
            device=memo_key(engine_and_standard(system.device.standard), configuration(system, options)),
            rows_per_expert=config.rows_per_expert,
            tier_rows=np.array([*(begin for begin, _, _ in tiers), tiers[-1][1]], dtype=np.int64),
        )
        memo.counts.commands_of_misses += done["commands_simulated"]
    times = StepTimes(**{name: answer[name] for name in StepTimes.__dataclass_fields__ if name != "engine"}, engine=dict(done))
    _check_shapes(times, work, system)
    return times


@lru_cache(maxsize=32)
def _core_configuration(core: Any, files: tuple[str, ...], items: tuple[tuple[str, Any], ...]) -> Any:
    """Return the core's NmpConfig; making one resolves a DRAM standard (files: hashes of its own), which takes longer than a small layer."""
    return core.NmpConfig(**dict(items))


def check_batch(system: System, options: CycleOptions, *, batch: int, most_tokens: int) -> None:
    """Check that a batch of which one expert gets `most_tokens` fits the buffers of a unit.

    Raises:
        CapacityError: it does not; the message has the bytes.
    """
    load_core().NmpConfig(**configuration(system, options)).check_capacity(batch, most_tokens)


def chip_configuration(system: System) -> dict[str, str | int | float | bool]:
    """Return those keyword arguments of the core's NmpConfig that say what the chips are."""
    return {
        **system.device.model_dump(),
        **system.unit.model_dump(),
        **system.ring.model_dump(),
        **system.link.model_dump(exclude={"mode"}),
        "chips": system.chips,
    }


def configuration(system: System, options: CycleOptions) -> dict[str, str | int | float | bool]:
    """Return the keyword arguments of the core's NmpConfig."""
    return {
        **chip_configuration(system),
        "hidden_size": options.hidden_size,
        "intermediate_size": options.intermediate_size,
        "bits_per_weight": options.bits_per_weight,
        "bytes_per_activation": options.bytes_per_activation,
        "slowest_tier_everywhere": options.slowest_tier_everywhere,
        "result_row": options.result_row,
        "overlap_all_gather": options.overlap_all_gather,
        "overlap_silu": options.overlap_silu,
        "overlap_reduce_scatter": options.overlap_reduce_scatter,
        "overlap_weighted_sum": options.overlap_weighted_sum,
    }


def _check_shapes(times: StepTimes, work: NmpWork, system: System) -> None:
    layers, channels, tiers = work.layers, system.device.channels, system.device.tiers
    expected = {
        "time_ps": (layers,),
        "rows_read": (layers, channels, tiers),
        "rows_written": (layers, channels, tiers),
        "tier_time_ps": (layers, tiers),
        "weight_macs": (layers,),
    }
    for name, shape in expected.items():
        if getattr(times, name).shape != shape:
            raise EngineError(f"the core answered {name} of shape {getattr(times, name).shape}, expected {shape}")
    if (times.time_ps <= 0).any():
        raise EngineError(f"layer {int(np.argmax(times.time_ps <= 0))} of the work took no time")
