"""Networks between devices: which directed links a message from one node to another crosses."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from moeram.options import Options
from moeram.units import GbPerS, Ns

TOPOLOGIES = ("ring", "mesh", "all-to-all", "switch")


class Topology(Options):
    """Nodes and full-duplex links of one speed.

    ring: both directions, the shorter way. mesh: `columns` nodes in a row, first along the row (X), then along the column
    (Y). all-to-all: a link between every two nodes. switch: one link from every node to a switch that never blocks.
    link_gb_per_s: of one direction of one link. latency_ns: of one hop; crossing a switch is one hop.
    """

    topology: Literal["ring", "mesh", "all-to-all", "switch"]
    nodes: Annotated[int, Field(ge=1, le=4096)]
    columns: Annotated[int, Field(ge=1)] | None = None
    link_gb_per_s: Annotated[GbPerS, Field(gt=0)]
    latency_ns: Annotated[Ns, Field(ge=0)]

    @model_validator(mode="after")
    def _whole_rows(self) -> Topology:
        if self.topology != "mesh" and self.columns is not None:
            raise ValueError(f"columns is given for a {self.topology}, allowed: for a mesh")
        if self.topology == "mesh" and (self.columns is None or self.nodes % self.columns):
            raise ValueError(f"a mesh of {self.nodes} nodes needs columns that divide them, given {self.columns}")
        return self

    @property
    def latency_ps(self) -> float:
        """Latency of one hop in picoseconds."""
        return self.latency_ns * 1e3

    def transfer_ps(self, load_bytes: float) -> float:
        """Return how long one direction of a link is busy with so many bytes."""
        return load_bytes * 1e3 / self.link_gb_per_s

    @property
    def rows(self) -> int:
        """Rows of a mesh."""
        return self.nodes // (self.columns or self.nodes)

    def path(self, source: int, target: int) -> list[tuple[int, int]]:
        """Return the directed links (from, to) that a message crosses; the switch is node `nodes`."""
        stations = getattr(self, f"_{self.topology.replace('-', '_')}")(source, target)
        return [] if source == target else list(pairwise(stations))

    def hops(self, source: int, target: int) -> int:
        """Return how many latencies a message pays."""
        return 1 if self.topology == "switch" and source != target else len(self.path(source, target))

    def _ring(self, source: int, target: int) -> list[int]:
        n = self.nodes
        forward = (target - source) % n
        # Of two equal ways even nodes go forward and odd ones backward, so that equal loads stay equal.
        step = 1 if 2 * forward < n or (2 * forward == n and source % 2 == 0) else -1
        length = forward if step == 1 else n - forward
        return [(source + step * index) % n for index in range(length + 1)]

    def _mesh(self, source: int, target: int) -> list[int]:
        assert self.columns is not None
        (y0, x0), (y1, x1) = divmod(source, self.columns), divmod(target, self.columns)
        along_row = [y0 * self.columns + x for x in _span(x0, x1)]
        return along_row + [y * self.columns + x1 for y in _span(y0, y1)][1:]

    def _all_to_all(self, source: int, target: int) -> list[int]:
        return [source, target]

    def _switch(self, source: int, target: int) -> list[int]:
        return [source, self.nodes, target]

    @cached_property
    def links(self) -> tuple[tuple[int, int], ...]:
        """All directed links that some message may cross, sorted."""
        pairs = ((a, b) for a in range(self.nodes) for b in range(self.nodes))
        return tuple(sorted({link for pair in pairs for link in self.path(*pair)}))

    @cached_property
    def incidence(self) -> NDArray[np.float64]:
        """Which links each pair's messages cross: 0 or 1 [nodes * nodes, links]."""
        index = {link: column for column, link in enumerate(self.links)}
        result = np.zeros((self.nodes**2, len(index)))
        for pair in range(self.nodes**2):
            result[pair, [index[link] for link in self.path(*divmod(pair, self.nodes))]] = 1
        return result

    @cached_property
    def even_incidence(self) -> NDArray[np.float64]:
        """Return the share of what a node gets from all nodes alike that crosses each link, and of what it gives to all [nodes, 2, links]."""
        pairs = self.incidence.reshape(self.nodes, self.nodes, len(self.links))
        return np.stack([pairs.sum(axis=0), pairs.sum(axis=1)], axis=1) / self.nodes

    @cached_property
    def farthest(self) -> NDArray[np.float64]:
        """Return the most latencies to each node from any other, and from it [2, nodes]."""
        return np.stack([self.hop_counts.max(axis=0), self.hop_counts.max(axis=1)]).astype(float)

    @cached_property
    def mean_hops(self) -> NDArray[np.float64]:
        """Return the latencies that a message to each node pays, from all nodes alike [nodes]."""
        return self.hop_counts.sum(axis=0) / self.nodes

    @cached_property
    def hop_counts(self) -> NDArray[np.int64]:
        """Latencies that each pair's messages pay [nodes, nodes]."""
        return np.array([[self.hops(a, b) for b in range(self.nodes)] for a in range(self.nodes)], dtype=np.int64)


def _span(first: int, last: int) -> range:
    return range(first, last + 1) if last >= first else range(first, last - 1, -1)
