"""One layer on GPUs with computing memory: what may run beside what (sieve.md 4)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from moeram.hardware.cycle import load_core
from moeram.hardware.shared_memory import Slowdowns
from moeram.serving.overlap import Task, TaskGraph

Times = NDArray[np.float64]  # picoseconds
# What works in a layer: projections and the like, what they read, then by name.
PARTS = ("base", "base loads", "attention", "load", "gemm", "experts in memory")


@cache
def _layer(port: str) -> TaskGraph:
    return TaskGraph([
        Task("gather", (), "network", together=True),
        Task("projections", ("gather",), "gpu"),
        Task("attention", ("projections",), "memory"),
        Task("reduce", ("attention",), "network", together=True),
        Task("router", ("reduce",), "gpu"),  # 2
        Task("maps", ("router",), "network", together=True),  # 3, 4
        Task("dispatch", ("maps",), "network", together=True),  # 5a
        Task("schedule", ("maps",)),  # 5b
        Task("load", ("schedule",), port),  # 6a
        Task("gemm", ("schedule", "dispatch"), "gpu"),  # 7a
        Task("memory", ("schedule", "dispatch"), "memory"),  # 6b, 7b, 8
        Task("combine", ("load", "gemm", "memory"), "network", together=True),  # 9
    ])  # fmt: skip


def contended_ps(times: Mapping[str, Times], slowdowns: Slowdowns, *, interleaved: bool) -> dict[str, Times]:
    """Return the times with the GPU's reads and the units' work on one memory (sieve.md X16).

    Loads of experts run beside experts in memory; with two micro-batches under way everything that the GPU reads runs
    beside everything that the units do. Both begin together, and what one side does is lengthened alike. Computing is not.
    """
    load, experts, attention, base_loads = (
        times[name] for name in ("load", "experts in memory", "attention", "base loads")
    )
    reads, work = (load + base_loads, experts + attention) if interleaved else (load, experts)
    slower_reads, slower_work = (
        np.divide(after, before, out=np.ones_like(before), where=before > 0)
        for before, after in zip((reads, work), slowdowns.together_ps(reads, work), strict=True)
    )
    longer = {**times, "load": load * slower_reads, "experts in memory": experts * slower_work}
    if interleaved:
        base_loads = base_loads * slower_reads
        longer |= {"base loads": base_loads, "base": np.maximum(times["base"], base_loads)}
        longer["attention"] = attention * slower_work
    return longer


def layer_times_ps(
    times: Mapping[str, Times],
    *,
    dispatch_ps: Times,
    combine_ps: Times,
    maps_ps: float,
    dense_ps: float,
    router_ps: float,
    schedule_ps: float,
    interleaved: bool,
    exclusive: bool = False,
) -> Times:
    """Return the time of each layer [layers]; numbers are those of sieve.md's tasks.

    Args:
        times: [layers, GPUs] of each of `PARTS`.
        dispatch_ps, combine_ps: [layers]. maps_ps: all-gather of the routing. dense_ps: gathering and reducing around sharded projections.
        interleaved: two micro-batches are under way. exclusive: the memory serves the GPU or its units, one at a time.
    """
    base, base_loads = times["base"], times["base loads"]
    durations = {
        "gather": dense_ps / 2, "projections": base, "attention": times["attention"], "reduce": dense_ps / 2,
        "router": router_ps, "maps": maps_ps, "dispatch": dispatch_ps[:, None], "schedule": schedule_ps,
        "load": times["load"], "gemm": times["gemm"], "memory": times["experts in memory"], "combine": combine_ps[:, None],
    }  # fmt: skip
    # The GPU's port is busy with what it does in any case, too.
    also = {"memory": base_loads, "external": base + times["load"]} if exclusive else {"external": base}
    graph = _layer("memory" if exclusive else "external")
    return graph.rows_ps(durations, np.shape(base), interleaved=interleaved, also_busy_ps=also)


def busy_ps(times: Mapping[str, Times]) -> tuple[float, float, float]:
    """Return how long GPUs and memories work, each summed over layers and GPUs, and what the mean GPU waits for the fullest."""
    parts = ("base", "load", "gemm", "attention", "experts in memory")
    gpu, memory, slower, fullest = load_core().busy_times(*(times[name] for name in parts))
    gpus = len(gpu) // len(fullest)
    return gpu.sum(), memory.sum(), fullest.sum() - slower.sum() / gpus if gpus > 1 else 0.0
