"""Which waiting requests join the batch: the contract and its policies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from moeram.errors import ConfigError, did_you_mean
from moeram.options import Options


class BatchingOptions(Options):
    """How batches are made.

    policy: "continuous" (first come, first served) or "same_topic". max_requests: in the batch at once. prefill_tokens: of
    prompts in one step (a longer prompt goes in chunks), None: whole prompts. mixed: prompts and answers share steps;
    otherwise prompts go first, alone. draft_tokens: guessed by a draft model for each request and step; acceptance:
    probability that a guess is right, given that those before it were. slo_share: of the same_topic policy, stratum.md 9 (U19): a
    request that waited for this share of the limit on its first token is admitted whatever its topic.
    """

    policy: Literal["continuous", "same_topic"] = "continuous"
    max_requests: Annotated[int, Field(ge=1)] = 32
    prefill_tokens: Annotated[int, Field(ge=1)] | None = 2048
    mixed: bool = True
    draft_tokens: Annotated[int, Field(ge=0)] = 0
    acceptance: Annotated[float, Field(ge=0, le=1)] = 0.7
    slo_share: Annotated[float, Field(ge=0, le=1)] = 0.8


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """The queue as a policy sees it: columns [w] in order of arrival, int64.

    topic: what it is taken for. need_tokens: keys and values that a request needs until its end. running_topic: topics of the batch [r]. free_requests,
    free_tokens: room in the batch and in the cache.
    """

    arrival_ps: NDArray[np.int64]
    topic: NDArray[np.int64]
    need_tokens: NDArray[np.int64]
    running_topic: NDArray[np.int64]
    free_requests: int
    free_tokens: int
    now_ps: int


class BatchPolicy(Protocol):
    """Chooses who joins; the loop cuts the choice where room ends."""

    def order(self, waiting: Waiting) -> NDArray[np.int64]:
        """Return places in the queue in the order in which they may join; others stay."""
        ...


class Continuous:
    """First come, first served."""

    def order(self, waiting: Waiting) -> NDArray[np.int64]:
        """Return the whole queue."""
        return np.arange(len(waiting.topic))


class SameTopic:
    """Stratum's SLO-aware batching (stratum.md 5): requests of the batch's topic first; others only when they are urgent.

    An empty batch takes the topic with most waiting requests, of equal ones that with the oldest.
    """

    def __init__(self, ttft_limit_ps: float, slo_share: float) -> None:
        self._urgent_after_ps = ttft_limit_ps * slo_share

    def order(self, waiting: Waiting) -> NDArray[np.int64]:
        """Return urgent requests, then those of the preferred topic."""
        urgent = waiting.now_ps - waiting.arrival_ps >= self._urgent_after_ps
        preferred = ~urgent & (waiting.topic == self._topic(waiting))
        return np.concatenate([np.flatnonzero(urgent), np.flatnonzero(preferred)])

    def _topic(self, waiting: Waiting) -> int:
        votes = waiting.running_topic if len(waiting.running_topic) else waiting.topic
        topics, first, counts = np.unique(votes, return_index=True, return_counts=True)
        return int(topics[np.lexsort((first, -counts))[0]])


def make_batching(options: BatchingOptions, ttft_limit_ms: float) -> BatchPolicy:
    """Return the policy that the options name; ttft_limit_ms: what users accept until the first token."""
    if options.policy == "same_topic":
        return SameTopic(ttft_limit_ms * 1e9, options.slo_share)
    if options.policy != "continuous":
        raise ConfigError(
            f"batching policy {options.policy!r} is unknown{did_you_mean(options.policy, ['continuous'])}"
        )
    return Continuous()


def admitted(order: NDArray[np.int64], waiting: Waiting) -> NDArray[np.int64]:
    """Return the leading places of an order that fit the batch and the cache."""
    chosen = order[: waiting.free_requests]
    fits = np.cumsum(waiting.need_tokens[chosen]) <= waiting.free_tokens
    return chosen[: len(chosen) if fits.all() else int(np.argmin(fits))]
