"""Which experts tokens use together, and how tokens that a policy may see are kept from those that score it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moeram.routing import RoutingSource

_STREAM = 0x70616972  # keeps these draws apart from all other uses of the seed
MOST_TOKENS = 8192  # of a topic, half of them to learn pairs from, half to score


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Disjoint held-out tokens of one topic, integers [tokens, layers, top_k] each."""

    learn: NDArray[np.integer]
    score: NDArray[np.integer]


def draw_tokens(source: RoutingSource, topic: int, seed: int) -> Tokens | None:
    """Draw distinct held-out tokens of a topic and split them in two; None where tokens are not known, only counts."""
    if source.fidelity == "drawn":
        return None
    held_out = round(float(source.held_out_usage()[topic].sum()) / (len(source.layers) * source.top_k))
    count = min(held_out, MOST_TOKENS) // 2
    if count < 1:
        return None
    tokens = source.draw(topic, 2 * count, np.random.default_rng([seed, _STREAM, topic]))
    return Tokens(learn=tokens[:count], score=tokens[count:])


def count_pairs(tokens: NDArray[np.integer], experts: int) -> NDArray[np.float32]:
    """Tokens that use both experts, float32 [layers, experts, experts], symmetric with zero diagonal."""
    count, layers, _ = tokens.shape
    pairs = np.zeros((layers, experts, experts), dtype=np.float32)
    row = np.arange(count)[:, None]
    for layer in range(layers):
        used = np.zeros((count, experts), dtype=np.float32)
        used[row, tokens[:, layer]] = 1
        pairs[layer] = used.T @ used
        np.fill_diagonal(pairs[layer], 0)
    return pairs
