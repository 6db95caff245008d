"""Which experts the tokens of a step use: rows drawn from a pool of routed tokens, counted by layer and expert."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from moeram.errors import TraceError
from moeram.hardware.cycle import load_core
from moeram.routing import RoutingSource, SyntheticRouting
from moeram.routing.source import read_only
from moeram.routing.statistics import number_over_layers
from moeram.serving.step import Step

POOL_TOKENS = 4096
# Drawn once for each source: runs that share one share its pools.
_POOLS: WeakKeyDictionary[RoutingSource, dict[tuple[int, int], list[NDArray[np.unsignedinteger]]]] = WeakKeyDictionary()


class RoutedTokens:
    """A pool of held-out tokens for each topic, drawn once; each step takes random rows of it.

    Tokens of a step are independent given their topic: a request's neighbouring tokens are no more alike than others.
    """

    def __init__(self, source: RoutingSource, *, seed: int, pool_tokens: int = POOL_TOKENS) -> None:
        self.layers, self.experts, self.top_k = len(source.layers), source.experts, source.top_k
        self.fidelity = source.fidelity
        self._rng = np.random.default_rng([seed, 1])
        drawn = _POOLS.setdefault(source, {})
        if (seed, pool_tokens) not in drawn:
            drawn[seed, pool_tokens] = _pools(source, seed, pool_tokens)
        self._pools = drawn[seed, pool_tokens]

    def counts(self, step: Step) -> NDArray[np.int64]:
        """Return how many tokens of a step use each expert, int64 [layers, experts]."""
        decode = self.decode_counts(step)
        return decode + self.prefill_counts(step) if len(step.prefill) else decode

    def decode_counts(self, step: Step) -> NDArray[np.int64]:
        """Return the counts of the decoding requests' tokens alone."""
        return self._counts(np.bincount(step.topic) * step.tokens_per_request)

    def prefill_counts(self, step: Step) -> NDArray[np.int64]:
        """Return the counts of the prompts' tokens alone."""
        return self._counts(np.bincount(step.prefill_topic, weights=step.chunk_tokens))

    def _counts(self, tokens: NDArray[Any]) -> NDArray[np.int64]:
        """Count the experts of so many tokens of each topic."""
        counts = np.zeros((self.layers, self.experts), dtype=np.int64)
        for pool, drawn in zip(self._pools, tokens.tolist(), strict=False):
            if drawn:
                load_core().count_lines(pool, self._rng.integers(0, len(pool), int(drawn)), counts)
        return counts


class FewestExperts(RoutedTokens):
    """All tokens use the same experts, evenly spaced by id: as few as can be, and on equal GPUs as evenly dealt out as can be."""

    def _counts(self, tokens: NDArray[Any]) -> NDArray[np.int64]:
        counts = np.zeros((self.layers, self.experts), dtype=np.int64)
        counts[:, np.arange(self.top_k) * self.experts // self.top_k] = int(tokens.sum())
        return counts


def _pools(source: RoutingSource, seed: int, pool_tokens: int) -> list[NDArray[np.unsignedinteger]]:
    """Return for each topic the experts of its tokens, numbered over all layers, [tokens, layers * top_k]."""
    return [read_only(_draw(source, topic, pool_tokens, [seed, 2, topic])) for topic in range(len(source.topics))]


def _draw(source: RoutingSource, topic: int, tokens: int, seed: list[int]) -> NDArray[np.unsignedinteger]:
    if isinstance(source, SyntheticRouting):
        return source.sample(topic, tokens, seed)
    rng = np.random.default_rng(seed)
    # A trace may hold fewer held-out tokens than the pool wants; half as many, and so on, are as good a sample as it has.
    while True:
        try:
            return number_over_layers(source.draw(topic, tokens, rng), source.experts)
        except TraceError:
            if tokens == 1:
                raise
            tokens //= 2
