"""Statistics of routing that the record states and the synthetic generator is fitted to."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from moeram.routing.source import RoutingSource


def count_selections(tokens: np.ndarray, experts: int) -> np.ndarray:
    """Selections per layer and expert of ``tokens`` (integers [tokens, layers, top_k]), int64 [layers, experts]."""
    layers = tokens.shape[1]
    pairs = tokens.astype(np.int64) + np.arange(layers)[:, None] * experts
    return np.bincount(pairs.ravel(), minlength=layers * experts).reshape(layers, experts)


def number_over_layers(tokens: np.ndarray, experts: int) -> np.ndarray:
    """Number the experts of ``tokens`` (integers [tokens, layers, top_k]) over all layers, layer * experts + expert: [tokens,
    layers * top_k] in the smallest unsigned type that holds them.
    """
    layers = tokens.shape[1]
    first = np.arange(layers)[:, None] * experts
    numbers = np.add(tokens, first, dtype=np.min_scalar_type(layers * experts), casting="unsafe")
    return numbers.reshape(len(tokens), -1)


def hot_cover(rank_usage: np.ndarray, test_usage: np.ndarray, hot: int, *, within_layer: bool = False) -> np.ndarray:
    """Share of the selections in ``test_usage`` that fall on the ``hot`` most used experts of ``rank_usage``.

    Both usages have shape [..., layers, experts] and broadcast against each other, so ranking over all topics
    together is ``hot_cover(usage.sum(axis=0), usage, hot)``. Ties go to the lower layer, then the lower expert.

    Args:
        rank_usage: Selections that decide which experts are hot.
        test_usage: Selections that are scored.
        hot: Size of the hot set: (layer, expert) pairs of all layers, or experts of each layer.
        within_layer: Whether every layer has a hot set of its own.

    Returns:
        float64 [...], or [..., layers] if ``within_layer``.

    Raises:
        ValueError: ``hot`` is negative or exceeds what can be ranked.
    """
    rank, test = np.broadcast_arrays(rank_usage, test_usage)
    if not within_layer:
        rank, test = (usage.reshape(*usage.shape[:-2], -1) for usage in (rank, test))
    if not 0 <= hot <= rank.shape[-1]:
        raise ValueError(f"hot is {hot}, allowed: 0..{rank.shape[-1]}")
    chosen = np.argsort(-rank.astype(np.float64), axis=-1, kind="stable")[..., :hot]
    return np.take_along_axis(test, chosen, axis=-1).sum(axis=-1) / test.sum(axis=-1)


def skew(usage: np.ndarray) -> np.ndarray:
    """Largest over mean use of an expert, of ``usage`` [..., experts]: 1 if even, ``experts`` if one takes all."""
    return usage.max(axis=-1) / usage.mean(axis=-1)


def distinct_experts(source: RoutingSource, batch: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Mean number of different experts that a batch of one topic uses, float64 [layers], over topics and draws."""
    total = np.zeros(len(source.layers))
    for topic in range(len(source.topics)):
        for _ in range(draws):
            total += (count_selections(source.draw(topic, batch, rng), source.experts) > 0).sum(axis=-1)
    return total / (draws * len(source.topics))


def same_expert_next(requests: Iterable[np.ndarray]) -> np.ndarray:
    """Probability that an expert used by a token is used by the next token of its request, float64 [layers].

    Args:
        requests: Tokens of each request in order, integers [tokens, layers, top_k]; those with one token or none
            count for nothing.

    Returns:
        Sum over all pairs of successive tokens of the common experts / (pairs x top_k); nan without any pair.
    """
    common, possible = 0, 0
    for tokens in requests:
        both = tokens[:-1, :, :, None] == tokens[1:, :, None, :]
        common = common + both.sum(axis=(0, 2, 3))
        possible += max(len(tokens) - 1, 0) * tokens.shape[2]
    with np.errstate(invalid="ignore"):
        return np.asarray(common, dtype=np.float64) / possible


def dominant_experts(usage: np.ndarray, share: float) -> list[tuple[int, int, float]]:
    """Layers in which one expert serves more than ``share`` of the tokens.

    Args:
        usage: Selections [layers, experts] of a model that uses one expert per token and layer.
        share: Threshold, 0 to 1.

    Returns:
        (index of the layer, expert, its share) of each such layer.
    """
    shares = usage / usage.sum(axis=-1, keepdims=True)
    top = shares.argmax(axis=-1)
    return [(int(i), int(e), float(shares[i, e])) for i, e in enumerate(top) if shares[i, e] > share]
