"""Requests: when they arrive, how long their prompts are and how many tokens they want."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from moeram.errors import ConfigError, TraceError

_MOST_PS = 1 << 62


@dataclass(frozen=True, kw_only=True)
class Requests:
    """n requests in order of arrival.

    arrival_ps, prompt_tokens, output_tokens, topic: int64 [n]; lengths are at least 1, topic indexes the topics of the routing.
    believed_topic: what each is taken for by batching and placement, int64 [n]; its tokens follow the true topic. None: the true one.
    source: where they come from, for the record.

    Raises:
        TraceError: no requests, unequal lengths, or values out of range; names the first.
    """

    arrival_ps: NDArray[np.int64]
    prompt_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    topic: NDArray[np.int64]
    source: str
    believed_topic: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.believed_topic is None:
            object.__setattr__(self, "believed_topic", self.topic)
        if not len(self):
            raise TraceError(f"{self.source}: no requests")
        for name in ("prompt_tokens", "output_tokens", "topic", "believed_topic"):
            column = getattr(self, name)
            least = 0 if name.endswith("topic") else 1
            if column.shape != self.arrival_ps.shape:
                raise TraceError(f"{self.source}: {name} of shape {column.shape} for {len(self)} requests")
            if (column < least).any():
                row = int(np.argmax(column < least))
                raise TraceError(f"{self.source}: request {row}: {name} is {column[row]}, allowed: {least} or more")
        if (np.diff(self.arrival_ps) < 0).any() or self.arrival_ps[0] < 0:
            raise TraceError(f"{self.source}: requests are not in order of arrival from time 0")

    def __len__(self) -> int:
        return len(self.arrival_ps)

    @property
    def rate_per_s(self) -> float:
        """Mean arrivals per second; infinite when all arrive at once."""
        span_s = float(self.arrival_ps[-1] - self.arrival_ps[0]) * 1e-12
        return (len(self) - 1) / span_s if span_s else float("inf")

    def capped(self, prompt_tokens: int | None = None, output_tokens: int | None = None) -> Requests:
        """Return the requests with longer prompts and answers cut to these lengths."""
        prompts = self.prompt_tokens if prompt_tokens is None else np.minimum(self.prompt_tokens, prompt_tokens)
        outputs = self.output_tokens if output_tokens is None else np.minimum(self.output_tokens, output_tokens)
        return replace(self, prompt_tokens=prompts, output_tokens=outputs)

    def first(self, count: int) -> Requests:
        """Return the first `count` requests.

        Raises:
            TraceError: there are fewer.
        """
        if count > len(self):
            raise TraceError(f"{self.source}: {count} requests are wanted, it has {len(self)}")
        columns = ("arrival_ps", "prompt_tokens", "output_tokens", "topic", "believed_topic")
        return replace(self, **{name: getattr(self, name)[:count] for name in columns})

    def arriving_at(self, rate_per_s: float, rng: np.random.Generator) -> Requests:
        """Return the same requests with Poisson arrivals of this rate, the first at time 0."""
        return replace(self, arrival_ps=poisson_arrivals_ps(len(self), rate_per_s, rng))

    def taken_for(self, confusion: NDArray[np.float64], rng: np.random.Generator) -> Requests:
        """Return the same requests, each taken for a topic by the row of its own in confusion [topic, taken for], shares."""
        chance = np.cumsum(confusion / confusion.sum(axis=1, keepdims=True), axis=1)[self.topic]
        believed = (rng.random((len(self), 1)) >= chance[:, :-1]).sum(axis=1)
        return replace(self, believed_topic=believed.astype(np.int64))

    def with_topics(self, shares: NDArray[np.float64], rng: np.random.Generator) -> Requests:
        """Return the same requests with topics drawn by their shares [topics]."""
        topic = rng.choice(len(shares), size=len(self), p=shares / shares.sum()).astype(np.int64)
        return replace(self, topic=topic, believed_topic=topic)


def poisson_arrivals_ps(count: int, rate_per_s: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return arrival times [count] of a Poisson process, the first at time 0.

    Raises:
        ConfigError: the rate is not positive and finite, or arrivals reach beyond 50 days.
    """
    if not (np.isfinite(rate_per_s) and rate_per_s > 0):
        raise ConfigError(f"rate_per_s: given {rate_per_s}, allowed: more than 0")
    gaps_ps = rng.exponential(1e12 / rate_per_s, size=count)
    gaps_ps[:1] = 0
    times = np.cumsum(gaps_ps)
    if times[-1] > _MOST_PS:
        raise ConfigError(f"rate_per_s: at {rate_per_s} a second {count} requests take more than 50 days")
    return np.rint(times).astype(np.int64)


def poisson_requests(
    count: int, *, rate_per_s: float, prompt_tokens: int, output_tokens: int, rng: np.random.Generator
) -> Requests:
    """Return requests of one length with Poisson arrivals."""
    return Requests(
        arrival_ps=poisson_arrivals_ps(count, rate_per_s, rng),
        prompt_tokens=np.full(count, prompt_tokens, dtype=np.int64),
        output_tokens=np.full(count, output_tokens, dtype=np.int64),
        topic=np.zeros(count, dtype=np.int64),
        source=f"Poisson arrivals, {rate_per_s:g} a second",
    )
