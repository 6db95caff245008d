"""Event mode: messages share links fairly, and the next event is the end of a message.

All messages of a round start together. A message crosses all links of its path at once (cut-through), at the rate that
max-min fairness gives it; when one ends, the others' rates rise. It arrives after the latencies of its hops.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moeram.hardware.network.topology import Topology


def round_ps(topology: Topology, matrix_bytes: NDArray[np.float64]) -> float:
    """Return when the last message of a round has arrived; matrix_bytes [nodes, nodes], the diagonal costs nothing."""
    matrix = matrix_bytes.copy()
    np.fill_diagonal(matrix, 0)
    pairs = np.flatnonzero(matrix.ravel())
    if not pairs.size:
        return 0.0
    left = matrix.ravel()[pairs]
    crossed = topology.incidence[pairs]
    latency_ps = topology.hop_counts.ravel()[pairs] * topology.latency_ps
    bytes_per_ps = 1 / topology.transfer_ps(1)
    now_ps, arrived_ps = 0.0, 0.0
    while left.size:
        rate = fair_rates(crossed) * bytes_per_ps
        duration_ps = float((left / rate).min())
        now_ps += duration_ps
        left = left - rate * duration_ps
        ended = left <= 1e-9 * matrix.max()
        arrived_ps = max(arrived_ps, now_ps + float(latency_ps[ended].max()))
        left, crossed, latency_ps = left[~ended], crossed[~ended], latency_ps[~ended]
    return arrived_ps


def fair_rates(crossed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the max-min fair rates of messages over links of rate 1 by progressive filling.

    crossed: 0 or 1 [messages, links]; every message crosses a link.
    """
    rates = np.zeros(len(crossed))
    open_ = np.ones(len(crossed), dtype=bool)
    room = np.ones(crossed.shape[1])
    while open_.any():
        users = crossed[open_].sum(axis=0)
        share = np.where(users > 0, room / np.maximum(users, 1), np.inf)
        least = share.min()
        full = share <= least * (1 + 1e-12)
        fixed = open_ & (crossed[:, full].sum(axis=1) > 0)
        rates[fixed] = least
        room = np.maximum(room - least * crossed[fixed].sum(axis=0), 0)
        open_ &= ~fixed
    return rates
