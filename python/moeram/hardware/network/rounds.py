"""Collectives as rounds of messages: what the event mode plays and what the closed forms must equal."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from moeram.hardware.network.topology import Topology

Matrix = NDArray[np.float64]  # bytes from node (row) to node (column)


def all_gather(topology: Topology, shard_bytes: float) -> Iterator[Matrix]:
    """Yield the rounds after which every node has every node's shard.

    ring: each shard goes half one way round and half the other. mesh: along the rows, then whole rows of shards along the
    columns. all-to-all, switch: everybody sends to everybody at once.
    """
    if topology.topology == "ring":
        yield from _around(topology.nodes, shard_bytes)
    elif topology.topology == "mesh":
        assert topology.columns is not None
        index = np.arange(topology.nodes).reshape(topology.rows, topology.columns)
        yield from _along(index, shard_bytes)
        yield from _along(index.T, shard_bytes * topology.columns)
    elif topology.nodes > 1:
        yield shard_bytes * (1 - np.eye(topology.nodes))


def reduce_scatter(topology: Topology, shard_bytes: float) -> Iterator[Matrix]:
    """Yield the rounds of an all-gather played backwards: each node ends with the sum of one shard."""
    yield from (matrix.T for matrix in reversed(list(all_gather(topology, shard_bytes))))


def _around(nodes: int, shard_bytes: float) -> Iterator[Matrix]:
    for _ in range(nodes - 1):
        matrix = np.zeros((nodes, nodes))
        for node in range(nodes):
            matrix[node, (node + 1) % nodes] += shard_bytes / 2
            matrix[node, (node - 1) % nodes] += shard_bytes / 2
        yield matrix


def _along(lines: NDArray[np.int64], shard_bytes: float) -> Iterator[Matrix]:
    """Yield rounds in which shards move outwards by one node along each line, both ways."""
    nodes, length = lines.size, lines.shape[1]
    for distance in range(length - 1):
        matrix = np.zeros((nodes, nodes))
        for line in lines:
            for place in range(length - 1):
                if place - distance >= 0:
                    matrix[line[place], line[place + 1]] = shard_bytes
                if place + 1 + distance < length:
                    matrix[line[place + 1], line[place]] = shard_bytes
        yield matrix
