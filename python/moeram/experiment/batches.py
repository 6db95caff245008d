"""The batches of an experiment: how many tokens of which topic, what they are taken for, and the plans they meet.

A batch of one topic is taken for one topic as a whole. In a batch of several topics every token stands for a request and is
taken for a topic by itself; placements then rank for the topics that the requests are taken for, tokens follow their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from moeram.errors import ConfigError, did_you_mean
from moeram.metrics import hit_rate
from moeram.placement import PlacementInput, Plan, RowBudget, place_rows
from moeram.placement.stratum import over_topics
from moeram.routing import RoutingSource
from moeram.routing.topics import predict_topic

if TYPE_CHECKING:
    from moeram.experiment.options import BatchTopicsOptions, Experiment

_COMPOSE, _PREDICT, _PLACE = (
    0x636F6D70,
    0x70726564,
    0x706C6163,
)  # keep these draws apart from all other uses of the seed


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One batch to draw. tokens: of each topic of the routing. sample: its number. plan: an index into the plans."""

    tokens: tuple[int, ...]
    sample: int
    plan: int

    def draw(self, source: RoutingSource, seed: int) -> NDArray[np.integer]:
        """Return the experts of its tokens, [tokens, layers, top_k], topic by topic."""
        size = sum(self.tokens)
        return np.concatenate(
            [
                source.draw(topic, count, np.random.default_rng([seed, size, topic, self.sample]))
                for topic, count in enumerate(self.tokens)
                if count
            ]
        )


@dataclass(frozen=True, kw_only=True)
class Batches:
    """All batches of one size. plans: by placement. expected: (probability, usage [layers, experts], index of the plan)
    whose mixture is the hit rate on all held-out selections. right: probability that a topic is predicted right.
    """

    batches: tuple[Batch, ...]
    plans: dict[str, tuple[Plan, ...]]
    expected: tuple[tuple[float, NDArray[np.float64], int], ...]
    right: float

    def held_out_hit_rate(self, placement: str, *, with_shared: bool = False) -> float:
        """Return the hit rate on the held-out selections, NaN without hot experts."""
        plans = self.plans[placement]
        return float(sum(p * hit_rate(plans[at], usage, with_shared=with_shared) for p, usage, at in self.expected))


def one_topic_batches(
    experiment: Experiment,
    source: RoutingSource,
    budget: RowBudget,
    topics: tuple[int, ...],
    confusion: NDArray[np.float64],
) -> dict[int, Batches]:
    """Return, by size, `samples` batches of each topic; confusion: [true topic, predicted topic] of the whole routing."""
    taken_for = confusion[list(topics)]
    placed = tuple(int(topic) for topic in np.flatnonzero(taken_for.any(axis=0)))
    if set(placed) <= set(topics):
        placed = topics
    taken_for = taken_for[:, list(placed)]
    given = [_given(experiment, source, budget, topic, experiment.seed) for topic in placed]
    plans = {name: tuple(place_rows(name, one) for one in given) for name in experiment.placements}
    held_out = source.held_out_usage()
    expected = tuple(
        (float(taken_for[index, plan]) / len(topics), held_out[topic], plan)
        for index, topic in enumerate(topics)
        for plan in range(len(placed))
    )
    right = float(np.mean([confusion[topic, topic] for topic in topics]))

    def batch(size: int, index: int, sample: int) -> Batch:
        topic = topics[index]
        tokens = tuple(size if other == topic else 0 for other in range(len(source.topics)))
        plan = predict_topic(taken_for[index], (experiment.seed, size, topic, sample))
        return Batch(tokens=tokens, sample=sample, plan=plan)

    return {
        size: Batches(
            batches=tuple(batch(size, index, s) for index in range(len(topics)) for s in range(experiment.samples)),
            plans=plans,
            expected=expected,
            right=right,
        )
        for size in experiment.batch
    }


def mixed_batches(
    experiment: Experiment,
    source: RoutingSource,
    budget: RowBudget,
    shares: NDArray[np.float64],
    confusion: NDArray[np.float64],
) -> dict[int, Batches]:
    """Return, by size, `samples` batches of several topics, each with plans of its own; shares: of each topic, sum 1."""
    return {size: _mixed(experiment, source, budget, shares, confusion, size) for size in experiment.batch}


def _mixed(
    experiment: Experiment,
    source: RoutingSource,
    budget: RowBudget,
    shares: NDArray[np.float64],
    confusion: NDArray[np.float64],
    size: int,
) -> Batches:
    seed, samples = experiment.seed, range(experiment.samples)
    drawn = experiment.batch_topics.composition == "drawn"
    tokens = [
        np.random.default_rng([_COMPOSE, seed, size, sample]).multinomial(size, shares)
        if drawn
        else apportion(shares, size)
        for sample in samples
    ]
    taken_for = [_predicted(count, confusion, (seed, size, sample)) for sample, count in enumerate(tokens)]
    given = [
        _given(experiment, source, budget, int(np.argmax(count)), _placing_seed(seed, size, sample), count)
        for sample, count in enumerate(taken_for)
    ]
    held_out = source.held_out_usage()
    return Batches(
        batches=tuple(Batch(tokens=tuple(map(int, tokens[s])), sample=s, plan=s) for s in samples),
        plans={name: tuple(place_rows(name, one) for one in given) for name in experiment.placements},
        expected=tuple((1 / len(samples), over_topics(held_out, tokens[s]), s) for s in samples),
        right=float(shares @ np.diag(confusion)),
    )


def apportion(shares: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """Divide `size` tokens by largest remainders (Hamilton), ties to the earlier topic; shares sum to 1.

    Returns:
        Tokens of each topic, int64, of sum `size`.
    """
    exact = np.round(shares * size, 9)
    tokens = np.floor(exact).astype(np.int64)
    order = np.argsort(-np.round(exact - tokens, 9), kind="stable")
    tokens[order[: size - int(tokens.sum())]] += 1
    return tokens


def _predicted(
    tokens: NDArray[np.int64], confusion: NDArray[np.float64], key: tuple[int, int, int]
) -> NDArray[np.int64]:
    """What the requests of a batch are taken for: each by itself, requests of each topic."""
    rng = np.random.default_rng([_PREDICT, *key])
    return sum(rng.multinomial(count, row) for count, row in zip(tokens, confusion, strict=True))


def _placing_seed(seed: int, size: int, sample: int) -> int:
    return int(np.random.SeedSequence([_PLACE, seed, size, sample]).generate_state(1)[0])


def _given(
    experiment: Experiment,
    source: RoutingSource,
    budget: RowBudget,
    topic: int,
    seed: int,
    requests: NDArray[np.int64] | None = None,
) -> PlacementInput:
    """What a policy sees; requests of a single topic are that topic alone."""
    several = requests is not None and np.count_nonzero(requests) > 1
    return PlacementInput(
        usage=source.ranking_usage(),
        topic=topic,
        budget=budget,
        seed=seed,
        requests=tuple(map(float, requests)) if several else None,
        held_out=source.held_out_usage(),
    )


def topic_shares(options: BatchTopicsOptions, topics: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the share of each topic of the routing in a batch, float64 [topics] of sum 1.

    Raises:
        ConfigError: a topic is unknown.
    """
    _known("batch_topics.requests", options.requests, topics)
    weight = np.array([options.requests.get(topic, 0.0) for topic in topics])
    return weight / weight.sum()


def _known(key: str, given: Mapping[str, float], topics: tuple[str, ...]) -> None:
    unknown = [topic for topic in given if topic not in topics]
    if unknown:
        raise ConfigError(
            "\n".join(f"{key}: no topic {topic!r} in this routing{did_you_mean(topic, topics)}" for topic in unknown)
        )


def compositions(batches: Mapping[int, Batches], topics: tuple[str, ...]) -> Iterator[str]:
    """Yield one sentence per size: the tokens of each topic, means over batches where these differ."""
    for size, of_size in batches.items():
        counts = np.array([batch.tokens for batch in of_size.batches])
        means = ", ".join(
            f"{topic} {mean:.4g}" for topic, mean in zip(topics, counts.mean(axis=0), strict=True) if mean
        )
        drawn = "" if (counts == counts[0]).all() else " (means; each batch is drawn)"
        yield f"batch of {size}: tokens of {means}{drawn}"
