"""One layer on GPUs with computing memory: what may run beside what (sieve.md 4)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from moeram.serving.overlap import TaskGraph

Times = NDArray[np.float64]  # picoseconds


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
        times: [layers, GPUs] of "base" (projections and the like), "base loads" (what they read), "attention", "load", "gemm" and "experts in memory".
        dispatch_ps, combine_ps: [layers]. maps_ps: all-gather of the routing. dense_ps: gathering and reducing around sharded projections.
        interleaved: two micro-batches are under way. exclusive: the memory serves the GPU or its units, one at a time.
    """
    graph = TaskGraph()
    graph.add("gather", dense_ps / 2, resource="network", together=True)
    graph.add("projections", times["base"], after=["gather"], resource="gpu")
    graph.add("attention", times["attention"], after=["projections"], resource="memory")
    graph.add("reduce", dense_ps / 2, after=["attention"], resource="network", together=True)
    graph.add("router", router_ps, after=["reduce"], resource="gpu")  # 2
    graph.add("maps", maps_ps, after=["router"], resource="network", together=True)  # 3, 4
    graph.add("dispatch", dispatch_ps[:, None], after=["maps"], resource="network", together=True)  # 5a
    graph.add("schedule", schedule_ps, after=["maps"])  # 5b
    port = "memory" if exclusive else "external"
    graph.add("load", times["load"], after=["schedule"], resource=port)  # 6a
    graph.add("gemm", times["gemm"], after=["schedule", "dispatch"], resource="gpu")  # 7a
    graph.add("memory", times["experts in memory"], after=["schedule", "dispatch"], resource="memory")  # 6b, 7b, 8
    graph.add("combine", combine_ps[:, None], after=["load", "gemm", "memory"], resource="network", together=True)  # 9
    chain = graph.end_ps("combine").max(axis=-1)
    if not interleaved:
        return chain
    # A layer takes no less than half of its chain, nor than its busiest resource.
    gpu = np.maximum(graph.busy_ps("gpu"), times["base"] + times["load"])
    memory = graph.busy_ps("memory") + times["base loads"] if exclusive else graph.busy_ps("memory")
    busiest = np.maximum(np.maximum(gpu, memory), graph.busy_ps("network"))
    return np.maximum(busiest.max(axis=-1), chain / 2)
