"""The network between devices, priced in two modes.

"closed": alpha-beta forms (fidelity analytic). "event": messages contend for links (fidelity event). Both are equal where
loads are balanced.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from moeram.errors import ConfigError, did_you_mean
from moeram.hardware.network import closed_form, event, rounds
from moeram.hardware.network.topology import TOPOLOGIES, Topology
from moeram.hardware.spread import Spread

_MOST_HELD = 16
_MOST_KNOWN = 4096
_LONGEST_PS = math.ldexp(1, 62)
Mode = Literal["closed", "event"]
MODES = ("closed", "event")
COLLECTIVES = ("all_gather", "reduce_scatter", "all_reduce")

__all__ = ["COLLECTIVES", "MODES", "TOPOLOGIES", "EvenExchanges", "Mode", "Network", "Topology"]


class EvenExchanges(NamedTuple):
    """there_ps, back_ps: int64 [...]. energy_pj: of all of them."""

    there_ps: NDArray[np.int64]
    back_ps: NDArray[np.int64]
    energy_pj: float


class _Exchange(NamedTuple):
    """bytes_: a matrix; or, to_all given, what each node gets from all alike (False), gives to all alike (True) [..., nodes]."""

    bytes_: NDArray[np.float64]
    to_all: bool | None = None

    def matrix(self) -> NDArray[np.float64]:
        if self.to_all is None:
            return self.bytes_
        nodes = self.bytes_.shape[-1]
        there = np.repeat(self.bytes_[..., None, :] / nodes, nodes, axis=-2)
        return there.swapaxes(-1, -2) if self.to_all else there


class Network:
    """A topology with a mode. link_pj_per_bit: of a bit over one link; 1.3: 10.4 pJ a byte, attacc_pim.md 10 (moe_cap.md 10)."""

    def __init__(self, topology: Topology, mode: Mode = "closed", *, link_pj_per_bit: float = 1.3) -> None:
        if mode not in MODES:
            raise ConfigError(f"network mode {mode!r} is unknown{did_you_mean(mode, MODES)}")
        self.topology = topology
        self.mode = mode
        self._pj_per_byte = 8 * link_pj_per_bit
        # What was asked for, to hold the closed form against events afterwards.
        self._collectives: Spread[tuple[str, float]] = Spread(_MOST_HELD)
        self._known: dict[tuple[str, float], int] = {}
        self._exchanges: Spread[_Exchange] = Spread(_MOST_HELD)

    @property
    def fidelity(self) -> str:
        """The label of every time from here."""
        return "analytic" if self.mode == "closed" else "event"

    @property
    def how(self) -> str:
        """What the times are made of, for a record."""
        mode = "latency and busiest link" if self.mode == "closed" else "messages that share links"
        return f"{mode}, {self.topology.topology} of {self.topology.nodes}"

    def one_collective_ps(self, name: str, total_bytes: float) -> int:
        """Return the time of one collective, as `collective_ps` does of many; what was asked before is not worked out again."""
        asked = (name, total_bytes)
        if asked not in self._known:
            if len(self._known) == _MOST_KNOWN:
                self._known.clear()
            self._known[asked] = int(self.collective_ps(name, total_bytes))
        elif self.mode == "closed":
            self._collectives.add((name, total_bytes / self.topology.nodes * self.topology.nodes))
        return self._known[asked]

    def collective_ps(self, name: str, total_bytes: ArrayLike) -> NDArray[np.int64]:
        """Return the times of collectives [n] in picoseconds.

        Args:
            name: all_gather, reduce_scatter or all_reduce (the latter followed by the former).
            total_bytes: size of the whole vector [n]; each node holds (or ends with) 1 / nodes of it.

        Raises:
            ConfigError: unknown name, or sizes that are negative or not finite.
        """
        if name not in COLLECTIVES:
            raise ConfigError(f"collective {name!r} is unknown{did_you_mean(name, COLLECTIVES)}")
        shards = _checked(total_bytes, "total_bytes") / self.topology.nodes
        if self.mode == "closed" and shards.size:
            self._collectives.add((name, float(shards.flat[0]) * self.topology.nodes))
        phases = 2 if name == "all_reduce" else 1
        if self.mode == "closed":
            return _whole(phases * closed_form.all_gather_ps(self.topology, shards))
        play = rounds.all_gather if name == "all_gather" else rounds.reduce_scatter
        times = [sum(event.round_ps(self.topology, m) for m in play(self.topology, shard)) for shard in shards.ravel()]
        return _whole(phases * np.array(times, dtype=float).reshape(shards.shape))

    def exchange_ps(self, matrix_bytes: ArrayLike) -> NDArray[np.int64]:
        """Return the times of exchanges [...] (dispatch, combine) in picoseconds.

        Args:
            matrix_bytes: bytes from node (row) to node (column) [..., nodes, nodes]; what stays at home costs nothing.

        Raises:
            ConfigError: another shape than the topology's, or sizes that are negative or not finite.
        """
        matrix = _checked(matrix_bytes, "matrix_bytes")
        n = self.topology.nodes
        if matrix.shape[-2:] != (n, n):
            raise ConfigError(f"matrix_bytes has the shape {matrix.shape}, expected [..., {n}, {n}] for {n} nodes")
        flat = matrix.reshape(-1, n, n)
        if self.mode == "closed":
            for one in flat[:: max(len(flat) // 2, 1)]:
                self._exchanges.add(_Exchange(one))
            return _whole(closed_form.exchange_ps(self.topology, matrix))
        times = np.array([event.round_ps(self.topology, one) for one in flat], dtype=float)
        return _whole(times.reshape(matrix.shape[:-2]))

    def even_exchanges(self, received_bytes: ArrayLike) -> EvenExchanges:
        """Price dispatch and combine of which every node is as large a source, and gets back as much.

        Args:
            received_bytes: what each node gets from all together, itself included [..., nodes].

        Raises:
            ConfigError: as `exchange_ps`.
        """
        received, topology = _checked(received_bytes, "received_bytes"), self.topology
        if received.shape[-1:] != (topology.nodes,):
            raise ConfigError(f"received_bytes has the shape {received.shape}, expected [..., {topology.nodes}]")
        flat = received.reshape(-1, topology.nodes)
        energy_pj = 2 * float((flat @ topology.mean_hops).sum() * self._pj_per_byte)
        if self.mode == "event":
            matrix = _Exchange(received, to_all=False).matrix()
            return EvenExchanges(self.exchange_ps(matrix), self.exchange_ps(matrix.swapaxes(-1, -2)), energy_pj)
        for to_all in (False, True):
            for one in flat[:: max(len(flat) // 2, 1)]:
                self._exchanges.add(_Exchange(one, to_all=to_all))
        both_ps = _whole(closed_form.even_exchanges_ps(topology, received))
        return EvenExchanges(both_ps[..., 0], both_ps[..., 1], energy_pj)

    def error(self) -> float | None:
        """Return the relative error of the closed form against event mode over what was asked for so far: a few collectives and
        exchanges, evenly spread, each kind by the sum of its times; the worse of the two. None: nothing was asked, or by events.
        """
        closed, by_events = Network(self.topology), Network(self.topology, "event")
        errors = []
        if self._collectives.items:
            pairs = [[n.collective_ps(*one).item() for one in self._collectives.items] for n in (closed, by_events)]
            errors.append((sum(pairs[0]), sum(pairs[1])))
        if self._exchanges.items:
            matrices = np.stack([exchange.matrix() for exchange in self._exchanges.items])
            errors.append((closed.exchange_ps(matrices).sum().item(), by_events.exchange_ps(matrices).sum().item()))
        known = [formula / event - 1 for formula, event in errors if event]
        return max(known, key=abs) if known else None

    def collective_pj(self, name: str, total_bytes: float) -> float:
        """Return the energy of a collective: every node gets every other one's part once; an all-reduce does that twice."""
        if name not in COLLECTIVES:
            raise ConfigError(f"collective {name!r} is unknown{did_you_mean(name, COLLECTIVES)}")
        phases = 2 if name == "all_reduce" else 1
        return phases * (self.topology.nodes - 1) * total_bytes * self._pj_per_byte

    def exchange_pj(self, matrix_bytes: ArrayLike) -> float:
        """Return the energy of exchanges [...] in all: every hop of every byte; a switch is one."""
        return float((_checked(matrix_bytes, "matrix_bytes") * self.topology.hop_counts).sum() * self._pj_per_byte)


def _checked(values: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=float)
    # Comparisons with nan are false.
    if array.size and not (array.min() >= 0 and array.max() < math.inf):
        raise ConfigError(f"{name} must be finite and not negative")
    return array


def _whole(times_ps: Any) -> NDArray[np.int64]:
    # Rounded up to a picosecond, less what floating point adds.
    array = np.asarray(times_ps, dtype=float)
    if array.max(initial=0) > _LONGEST_PS:
        raise ConfigError("a transfer takes more than 50 days: check the bytes and the link")
    return np.ceil(array * (1 - 1e-12)).astype(np.int64)
