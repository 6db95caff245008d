"""Routing drawn from counts: only how often each expert was used is known, and only in some layers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeram.errors import TraceError
from moeram.model import MoEModel
from moeram.routing.source import check_draw, read_only

_UNIT = 1 << 32
_SPLIT_STREAM, _PERMUTATION_STREAM = 1, 2


@dataclass(frozen=True, kw_only=True)
class CountTable:
    """Counts of selections as published.

    Args:
        place: File they come from, for messages.
        topics: Name of each topic.
        layers: Id of each measured layer, ascending.
        counts: Selections, int64 [topics, layers, experts].
    """

    place: str
    topics: tuple[str, ...]
    layers: tuple[int, ...]
    counts: np.ndarray


class CountsRouting:
    """A ``RoutingSource`` that draws tokens from counts of some layers.

    A layer that was not measured copies the nearest measured one (tie: the lower) with expert ids permuted at
    random, one permutation per layer, the same for all topics. The counts are split in two halves without
    replacement (multivariate hypergeometric), one to rank by and one to draw from. A token's experts of one layer
    are a systematic sample of ``top_k`` distinct experts in random order (Madow 1949), which includes an expert
    with exactly the probability top_k x its count / all counts; layers and tokens are independent.

    Args:
        table: The counts; they must fit ``model``.
        model: Shape of the model.
        seed: Seed of the split and of the permutations.

    Raises:
        TraceError: A half of some topic and layer uses fewer than ``top_k`` experts.
    """

    fidelity = "drawn"

    def __init__(self, table: CountTable, model: MoEModel, *, seed: int) -> None:
        self.topics = table.topics
        self.layers = model.moe_layers
        self.experts, self.top_k = model.experts, model.top_k
        self.measured_layers = table.layers
        nearest = _nearest_layers(self.layers, table.layers)
        order = _expert_order(self.layers, table.layers, self.experts, seed)
        ranking, held_out = _split(table.counts, seed)
        self._ranking_usage = _spread(ranking, nearest, order)
        self._held_out_usage = _spread(held_out, nearest, order)
        self._shares = _inclusion_shares(self._held_out_usage, self.top_k, self)
        self.notes = _notes(table, self.layers)
        layers, slots = np.arange(len(self.layers)), np.arange(self.top_k)
        self._layer_start = layers[:, None] * (self.top_k * _UNIT)
        self._expert_start = layers[:, None] * self.experts
        self._slot_start = self._layer_start + slots * _UNIT

    def ranking_usage(self) -> np.ndarray:
        """Selections of the ranking half, float64 [topics, layers, experts]; copies in unmeasured layers."""
        return self._ranking_usage

    def held_out_usage(self) -> np.ndarray:
        """Selections of the held-out half, float64 [topics, layers, experts]; copies in unmeasured layers."""
        return self._held_out_usage

    def draw(self, topic: int, batch: int, rng: np.random.Generator) -> np.ndarray:
        """Experts of ``batch`` independent tokens drawn from the held-out half, int16 [batch, layers, top_k].

        Systematic sampling: the experts' shares (probabilities in units of 2^-32, so that sums are exact) lie end
        to end on a line of length top_k, in an order shuffled per draw and layer; the points u, u + 1, ... with
        one uniform u per token and layer fall on distinct experts because no share exceeds 1.
        """
        check_draw(self, topic, batch)
        order = rng.random((len(self.layers), self.experts)).argsort(axis=1)
        ends = np.take_along_axis(self._shares[topic], order, axis=1).cumsum(axis=1) + self._layer_start
        start = rng.integers(0, _UNIT, (batch, len(self.layers), 1))
        position = np.searchsorted(ends.ravel(), (start + self._slot_start).ravel(), side="right")
        return order.ravel()[position].astype(np.int16).reshape(batch, len(self.layers), self.top_k)


def copied_layers(tokens: np.ndarray, model: MoEModel, measured: tuple[int, ...], seed: int) -> np.ndarray:
    """Tokens int16 [tokens, measured layers, top_k] spread to all layers as ``CountsRouting`` spreads counts."""
    nearest = _nearest_layers(model.moe_layers, measured)
    order = _expert_order(model.moe_layers, measured, model.experts, seed)
    stands_for = np.argsort(order, axis=1).astype(np.int16)
    return np.stack([stands_for[i][tokens[:, near]] for i, near in enumerate(nearest)], axis=1)


def _nearest_layers(layers: tuple[int, ...], measured: tuple[int, ...]) -> np.ndarray:
    """Index of the nearest of ``measured`` (ascending) for each of ``layers``; argmin takes the lower of a tie."""
    return np.abs(np.subtract.outer(layers, measured)).argmin(axis=1)


def _expert_order(layers: tuple[int, ...], measured: tuple[int, ...], experts: int, seed: int) -> np.ndarray:
    """Which expert of the copied layer each expert stands for, int64 [layers, experts]; identity where measured."""
    rng = np.random.default_rng([seed, _PERMUTATION_STREAM])
    permuted = rng.permuted(np.tile(np.arange(experts), (len(layers), 1)), axis=1)
    return np.where(np.isin(layers, measured)[:, None], np.arange(experts), permuted)


def _split(counts: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two halves of ``counts`` [topics, layers, experts]: a draw of half the selections without replacement."""
    rng = np.random.default_rng([seed, _SPLIT_STREAM])
    rows = counts.reshape(-1, counts.shape[-1])
    first = np.stack([rng.multivariate_hypergeometric(row, int(row.sum()) // 2, method="marginals") for row in rows])
    first = first.reshape(counts.shape)
    return first, counts - first


def _spread(counts: np.ndarray, nearest: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Counts [topics, measured, experts] spread to all layers, float64 [topics, layers, experts]."""
    return read_only(np.take_along_axis(counts[:, nearest], order[None], axis=2).astype(np.float64))


def _inclusion_shares(usage: np.ndarray, top_k: int, source: CountsRouting) -> np.ndarray:
    """Probability of each expert in units of 2^-32, int64 [topics, layers, experts], exactly top_k in each layer."""
    shares = np.empty(usage.shape, dtype=np.int64)
    for topic, layer in np.ndindex(usage.shape[:2]):
        used = int((usage[topic, layer] > 0).sum())
        if used < top_k:
            raise TraceError(
                f"counts of topic {source.topics[topic]}, layer {source.layers[layer]}: half of them use {used} "
                f"experts, but a token needs {top_k} different ones; there are too few selections"
            )
        shares[topic, layer] = _exact_shares(usage[topic, layer], top_k)
    return read_only(shares)


def _exact_shares(usage: np.ndarray, top_k: int) -> np.ndarray:
    """top_k x usage / sum, capped at 1 with the excess spread over the others in proportion, in units of 2^-32."""
    capped = np.zeros(len(usage), dtype=bool)
    while True:
        rest = np.where(capped, 0.0, usage)
        probability = np.where(capped, 1.0, rest * (top_k - capped.sum()) / max(rest.sum(), 1.0))
        if not (probability > 1.0).any():
            break
        capped |= probability >= 1.0
    exact = probability * _UNIT
    shares = np.floor(exact).astype(np.int64)
    missing = top_k * _UNIT - int(shares.sum())
    room = np.flatnonzero((shares < _UNIT) & (usage > 0))
    largest = room[np.argsort(shares[room] - exact[room], kind="stable")][:missing]
    shares[largest] += 1
    assert shares.sum() == top_k * _UNIT and shares.max() <= _UNIT
    return shares


def _notes(table: CountTable, layers: tuple[int, ...]) -> tuple[str, ...]:
    measured = ", ".join(map(str, table.layers))
    drawn = (
        f"routing drawn from counts of layers {measured} of {table.place}; tokens are independent of each other and "
        "a token's layers of each other"
    )
    notes = [
        drawn,
        "half of the counted selections (drawn without replacement, seeded) ranks, the other half is drawn from",
    ]
    if len(layers) > len(table.layers):
        notes.append(
            f"the other {len(layers) - len(table.layers)} layers copy the nearest measured layer (tie: the lower) "
            "with expert ids permuted independently per layer (seeded)"
        )
    return tuple(notes)
