"""Closed forms (alpha-beta): a latency for each hop or round and the busiest link's bytes over its rate.

The forms of all-gather and reduce-scatter are those of Thakur, Rabenseifner and Gropp, "Optimization of Collective
Communication Operations in MPICH" (2005), for a bidirectional ring, dimension by dimension on a mesh.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moeram.hardware.cycle import load_core
from moeram.hardware.network.topology import Topology


def all_gather_ps(topology: Topology, shard_bytes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the time of an all-gather (and of a reduce-scatter) in which every node holds `shard_bytes` of the whole."""
    n = topology.nodes
    alpha, beta = topology.latency_ps, topology.transfer_ps(1)
    if n == 1:
        return np.zeros_like(shard_bytes)
    if topology.topology == "ring":
        # Both directions carry half; with two nodes there is only one neighbour.
        per_link = shard_bytes / 2 if n > 2 else shard_bytes
        return (n - 1) * (alpha + beta * per_link)
    if topology.topology == "mesh":
        assert topology.columns is not None
        along_rows = (topology.columns - 1) * (alpha + beta * shard_bytes)
        return along_rows + (topology.rows - 1) * (alpha + beta * shard_bytes * topology.columns)
    return alpha + beta * shard_bytes * (1 if topology.topology == "all-to-all" else n - 1)


def exchange_ps(topology: Topology, matrix_bytes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the time of exchanges [...]: the busiest link, then the longest way; matrix_bytes [..., nodes, nodes].

    Where loads are uneven: without latency a lower bound, since contention may keep the longest way waiting (see the event mode); with it
    also too long where the longest way is not the last to arrive.
    """
    matrix = matrix_bytes * (1 - np.eye(topology.nodes))
    flat = matrix.reshape(*matrix.shape[:-2], -1)
    if topology.nodes == 1:
        return np.zeros(flat.shape[:-1])
    busiest = (flat @ topology.incidence).max(axis=-1)
    farthest = np.where(matrix > 0, topology.hop_counts, 0).max(axis=(-2, -1))
    return topology.transfer_ps(1) * busiest + topology.latency_ps * farthest


def even_exchanges_ps(topology: Topology, received_bytes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `exchange_ps` of what every node gets [..., nodes] from all nodes alike, and of the way back [..., 2]."""
    routes = topology.even_incidence, topology.farthest
    times = load_core().even_exchanges(received_bytes, *routes, topology.transfer_ps(1), topology.latency_ps)
    return times.reshape(*received_bytes.shape[:-1], 2)
