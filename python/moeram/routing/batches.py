"""What a batch of tokens asks of the experts: how many are used, and by how many tokens each."""

from __future__ import annotations

import numpy as np

from moeram.routing.sample import RequestTokens, in_steps

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
BIN_NAMES = ("1", "2", "3-4", ">4")
_MOST_CELLS = 1 << 23
_MOST_TRIES = 32


class BatchDraws:
    """Random batches of sampled tokens.

    If steps are known: different requests that started together, at a decode step that all of them reach, each such step
    as likely. Else any different tokens.
    """

    def __init__(self, requests: list[RequestTokens]) -> None:
        self.experts = np.concatenate([request.experts for request in requests])
        self.at_equal_step = in_steps(requests)
        lengths = np.array([len(request.experts) for request in requests])
        self._first = np.array([request.step[0] for request in requests])
        self._last = self._first + lengths - 1
        self._row = np.cumsum(lengths) - lengths - self._first  # + step = row of the request's token at that step

    @property
    def largest(self) -> int:
        """The largest batch that can be drawn, unless its requests share no step."""
        return len(self._first) if self.at_equal_step else len(self.experts)

    def draw(self, batch: int, count: int, rng: np.random.Generator) -> np.ndarray | None:
        """``count`` batches, int16 [count, batch, layers, top_k]; None if requests that share a step are hardly found."""
        if not self.at_equal_step:
            rows = [rng.choice(len(self.experts), batch, replace=False, shuffle=False) for _ in range(count)]
            return self.experts[np.stack(rows)]
        found, size = [], 0
        for _ in range(_MOST_TRIES):
            chosen = rng.permuted(np.tile(np.arange(len(self._first)), (count, 1)), axis=1)[:, :batch]
            low, high = self._first[chosen].max(axis=1), self._last[chosen].min(axis=1)
            good = low <= high
            step = rng.integers(low[good], high[good] + 1)
            found.append(self._row[chosen[good]] + step[:, None])
            size += int(good.sum())
            if size >= count:
                return self.experts[np.concatenate(found)[:count]]
        return None


def expert_loads(tokens: np.ndarray, experts: int) -> np.ndarray:
    """Tokens per expert of each batch, int32 [count, layers, experts]; ``tokens`` [count, batch, layers, top_k]."""
    count, _, layers, _ = tokens.shape
    cell = (np.arange(count)[:, None, None, None] * layers + np.arange(layers)[:, None]) * experts + tokens
    return (
        np.bincount(cell.ravel(), minlength=count * layers * experts).reshape(count, layers, experts).astype(np.int32)
    )


def load_bins(loads: np.ndarray) -> np.ndarray:
    """Experts with 1, 2, 3-4 and more than 4 tokens (bins of the Sieve paper), int64 [4, layers], summed over batches."""
    bins = ((loads == 1), (loads == 2), (loads == 3) | (loads == 4), (loads > 4))
    return np.stack([mask.sum(axis=(0, 2)) for mask in bins])


def batch_statistics(
    draws: BatchDraws, experts: int, batch: int, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray] | None:
    """Mean number of different experts [layers], and the share of each bin among used experts [4, layers].

    None if no such batch is found.
    """
    layers = draws.experts.shape[1]
    distinct, bins = np.zeros(layers), np.zeros((4, layers), dtype=np.int64)
    done = 0
    while done < count:
        part = min(max(_MOST_CELLS // (layers * max(experts, batch * draws.experts.shape[2])), 1), count - done)
        tokens = draws.draw(batch, part, rng)
        if tokens is None:
            return None
        loads = expert_loads(tokens, experts)
        distinct += (loads > 0).sum(axis=(0, 2))
        bins += load_bins(loads)
        done += part
    return distinct / count, bins / bins.sum(axis=0)
