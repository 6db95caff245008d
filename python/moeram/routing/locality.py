"""How experts follow each other: within a token, from token to token, from layer to layer, and in a cache."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from moeram.routing.sample import RequestTokens

TOP_SHARE = 0.2


def successive(requests: Iterable[RequestTokens]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens with their successor in the same request, two arrays int16 [pairs, layers, top_k]."""
    before, after = [], []
    for request in requests:
        follows = np.flatnonzero(np.diff(request.token) == 1)
        before.append(request.experts[follows])
        after.append(request.experts[follows + 1])
    return np.concatenate(before), np.concatenate(after)


def pair_counts(first: np.ndarray, second: np.ndarray, experts: int) -> np.ndarray:
    """How often expert a of ``first`` meets expert b of ``second`` (ids [rows, top_k] each), int64 [experts, experts]."""
    counts = np.zeros(experts * experts, dtype=np.int64)
    base, other = first.astype(np.intp) * experts, np.ascontiguousarray(second, dtype=np.intp)
    for slot in range(first.shape[1]):
        counts += np.bincount((base[:, slot, None] + other).ravel(), minlength=len(counts))
    return counts.reshape(experts, experts)


def together_counts(ids: np.ndarray, experts: int) -> np.ndarray:
    """How often two experts serve one token (ids [tokens, top_k]), int64 [experts, experts], symmetric, zero diagonal."""
    counts = np.zeros(experts * experts, dtype=np.int64)
    ids = np.ascontiguousarray(ids, dtype=np.intp)
    for slot in range(ids.shape[1] - 1):
        counts += np.bincount((ids[:, slot, None] * experts + ids[:, slot + 1 :]).ravel(), minlength=len(counts))
    matrix = counts.reshape(experts, experts)
    return matrix + matrix.T


def top_coverage(counts: np.ndarray, share: float = TOP_SHARE) -> float:
    """Share of the mass of a conditional table that the top ``share`` of the columns of each row hold.

    Each row (the expert now) ranks its own successors; rows weigh by how often they occur. ``counts`` [experts, experts].
    """
    top = max(round(share * counts.shape[1]), 1)
    return float(np.sort(counts, axis=1)[:, -top:].sum() / counts.sum())


def pair_concentration(counts: np.ndarray, share: float = 0.1) -> tuple[float, float]:
    """Of co-activation ``counts``: share of the top ``share`` of all pairs, and the largest pair over the mean pair."""
    pairs = np.sort(counts[np.triu_indices(len(counts), 1)])
    top = max(round(share * len(pairs)), 1)
    return float(pairs[-top:].sum() / pairs.sum()), float(pairs[-1] / pairs.mean())


def top_pairs(counts: np.ndarray, top_k: int, most: int) -> list[tuple[int, int, int, float]]:
    """Of co-activation ``counts`` the ``most`` frequent pairs that occur: (expert, expert, tokens, lift).

    The lift is their tokens over tokens(a) x tokens(b) / all tokens, what experts that know nothing of each other would
    share. An expert's row of ``counts`` sums to (top_k - 1) x its tokens. Ties go by id.
    """
    rows, columns = np.triu_indices(len(counts), 1)
    pairs = counts[rows, columns]
    tokens = counts.sum(axis=1) / (top_k - 1)
    chosen = [i for i in np.argsort(-pairs, kind="stable")[:most].tolist() if pairs[i]]
    expected = tokens[rows] * tokens[columns] / (tokens.sum() / top_k)
    return [(int(rows[i]), int(columns[i]), int(pairs[i]), float(pairs[i] / expected[i])) for i in chosen]


def same_next(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Share of the experts of a token that its successor uses again, float64 [layers]; ids [pairs, layers, top_k]."""
    common = np.zeros(before.shape[1])
    for a in range(before.shape[2]):
        for b in range(before.shape[2]):
            common += (before[:, :, a] == after[:, :, b]).sum(axis=0)
    return common / (len(before) * before.shape[2])


def lru_hit_rates(requests: list[RequestTokens], experts: int, capacities: tuple[int, ...]) -> np.ndarray:
    """Hit rate of a cache of the least recently used kind, one per request and layer, empty at its start.

    A token's experts are looked up together in what the tokens before it left, then all become the most recent; of experts
    that were last used by one token, the lower id leaves first. So the order of ids within a token changes nothing. An
    expert hits if fewer than ``capacity`` others stand above it (stack distance, Mattson 1970).

    Args:
        requests: Tokens of each request.
        experts: Experts of a layer.
        capacities: Experts that a cache holds; ``top_k`` or more, since a smaller one cannot hold what one token uses.

    Returns:
        float64 [capacities, layers].

    Raises:
        ValueError: A capacity is below ``top_k``.
    """
    _, layers, top_k = requests[0].experts.shape
    if min(capacities, default=top_k) < top_k:
        raise ValueError(f"a cache of {min(capacities)} cannot hold the {top_k} experts of a token")
    hits = np.zeros((len(capacities), layers))
    lookups = 0
    ordered = sorted((request.experts for request in requests), key=len, reverse=True)
    lengths = np.array([len(ids) for ids in ordered])
    last = np.full((len(ordered), layers, experts), -1, dtype=np.int64)  # step of the last use, then the id
    for step in range(int(lengths[0])):
        alive = int((lengths > step).sum())
        ids = np.stack([request[step] for request in ordered[:alive]]).astype(np.int64)  # [alive, layers, top_k]
        recent = last[:alive]
        seen = np.take_along_axis(recent, ids, axis=2)
        for slot in range(ids.shape[2]):
            distance = (recent > seen[:, :, slot, None]).sum(axis=2)
            for i, capacity in enumerate(capacities):
                hits[i] += ((seen[:, :, slot] >= 0) & (distance < capacity)).sum(axis=0)
        np.put_along_axis(recent, ids, step * experts + ids, axis=2)
        lookups += alive * ids.shape[2]
    return hits / lookups


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation of two lists of counts, ties at their mean rank; nan if one has no spread."""
    ranks = [_mean_ranks(values) for values in (first, second)]
    centred = [values - values.mean() for values in ranks]
    scale = np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum())
    return float((centred[0] * centred[1]).sum() / scale) if scale else float("nan")


def _mean_ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]
